package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/galleon-net/galleon/replication/weights"
)

// workerMode as the first argument makes this program a worker.
const workerMode = "worker"

type options struct {
	size     int // MiB of each case
	rounds   int
	seed     uint64
	only     []string
	peers    bool
	level    weights.Level
	cache    string
	zstdPath string
}

func (o *options) wants(name string) bool { return len(o.only) == 0 || slices.Contains(o.only, name) }

func main() {
	if len(os.Args) == 4 && os.Args[1] == workerMode {
		if err := worker(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench-weights:", err)
			os.Exit(1)
		}
		return
	}
	o := &options{level: weights.Dense}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	flag.IntVar(&o.size, "size", 16, "MiB of each case")
	flag.IntVar(&o.rounds, "rounds", 5, "times each case is coded; speeds are medians")
	flag.Uint64Var(&o.seed, "seed", 1, "of the generators")
	flag.BoolVar(&o.peers, "peers", true, "measure zstd and content-defined chunks beside it")
	flag.StringVar(&o.cache, "cache", filepath.Join(cache, "galleon-bench"), "where packages of the npm registry are kept")
	only := flag.String("only", "", "cases, with commas between them; all when empty")
	flag.Func("level", "plain, swift, dense (the default) or densest", func(name string) error {
		for l := weights.Plain; l <= weights.Densest; l++ {
			if l.String() == name {
				o.level = l
				return nil
			}
		}
		return errors.New("no such level")
	})
	flag.Parse()
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-weights:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) error {
	runtime.GOMAXPROCS(1)
	if o.peers {
		o.zstdPath = findZstd(ctx, os.Stderr)
	}
	var rows []result
	fmt.Println(heading)
	missing := func(name, why string) {
		fmt.Printf("%-17s missing: %s\n", name, why)
		rows = append(rows, result{Case: name})
	}
	err := o.rows(ctx, func(r row) error {
		res, err := o.measure(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		rows = append(rows, res)
		fmt.Println(res)
		fmt.Printf("%17s %s; %s\n", "", res.modes, r.note)
		return nil
	}, missing)
	if err != nil {
		return err
	}
	last, err := json.Marshal(struct {
		Bench string   `json:"bench"`
		Rows  []result `json:"rows"`
	}{"weights", rows})
	if err != nil {
		return err
	}
	fmt.Println(string(last))
	return nil
}

// measure makes all figures of a case. What a peer cannot give is nil and said on the way.
func (o *options) measure(ctx context.Context, r row) (result, error) {
	c, err := code(r, o.rounds, o.level)
	if err != nil {
		return result{}, err
	}
	res := result{
		Case: r.name, Raw: len(r.file), Galleon: c.bytes, Ratio: rounded(float64(c.bytes) / float64(len(r.file))),
		Index: rounded(c.index), Encode: rounded(c.encode), Decode: rounded(c.decode), modes: fmt.Sprint(c.modes),
	}
	if r.part != nil {
		alone, err := code(*r.part, 1, o.level)
		if err != nil {
			return result{}, err
		}
		res.modes += fmt.Sprintf(" %.3f times what the changed tensors take alone", float64(c.bytes)/float64(alone.bytes))
	}
	mib, err := peak(r)
	if err != nil {
		return res, fmt.Errorf("measure memory: %w", err)
	}
	res.Peak = rounded(mib)
	if !o.peers {
		return res, nil
	}
	put := func(to **int, n int, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Printf("%17s %v\n", "", err)
			return nil
		}
		*to = &n
		return nil
	}
	n, err := o.zstd(ctx, r.file, nil, "-3")
	all := put(&res.Zstd3, n, err)
	n, err = o.zstd(ctx, r.file, nil, "-19")
	all = errors.Join(all, put(&res.Zstd19, n, err))
	if len(r.base) > 0 {
		n, err = o.zstd(ctx, r.file, r.base, "-19")
		all = errors.Join(all, put(&res.Patch, n, err))
	}
	n, err = cdc(r.file, r.base)
	all = errors.Join(all, put(&res.CDC, n, err))
	if r.bf16 {
		all = errors.Join(all, put(&res.Base, zipnn(r.file), nil))
		if share := float64(*res.Base) / float64(len(r.file)); r.name == "bf16" && (share < 0.66 || share > 0.68) {
			return res, fmt.Errorf("the plain split gives %.3f: the data is wrong", share)
		}
		if len(r.base) == len(r.file) {
			n, err = o.zipLLM(ctx, r.file, r.base)
			all = errors.Join(all, put(&res.ZipLLM, n, err))
		}
	}
	return res, all
}
