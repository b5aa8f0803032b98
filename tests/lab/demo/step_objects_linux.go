package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/galleon-net/galleon/cmd/admin"
)

// Buckets of the story.
const (
	models = "models" // written in Hangzhou
	ledger = "ledger" // written in Singapore
)

// What the policies below send where beside Querétaro, which gets everything.
var elsewhere = []struct {
	place  place
	prefix string
}{{frankfurt, filesPrefix}, {singapore, "weights/"}}

// copies is in how many places a byte of the input ends up, its own region included.
const copies = 3

// Policies, as an operator writes them. The first one names no region that has to exist already.
const (
	everywhere = `# Whatever begins with welcome/ is for every region, also for those that are not open yet.
name: everywhere
bucket: models
prefix: welcome/
from: cn-hangzhou
to: all
priority: 90
`
	farPolicies = `policies:
  - name: weights
    bucket: models
    prefix: weights/
    from: [cn-hangzhou]
    to: [mx-queretaro, ap-singapore]
    priority: 50
  - name: files
    bucket: models
    prefix: files/
    from: [cn-hangzhou]
    to: [mx-queretaro, eu-frankfurt]
    priority: 50
  - name: ledger
    bucket: ledger
    from: [ap-singapore]
    to: [mx-queretaro]
`
)

// firstObjects makes a bucket, a key and a policy, puts a few objects, and waits for them in the regions that are open.
func (d *demo) firstObjects(ctx context.Context) error {
	hz := d.router(hangzhou)
	for _, bucket := range []string{models, ledger} {
		if err := d.command(ctx, hz, nil, "bucket", "create", bucket); err != nil {
			return err
		}
	}
	if err := d.refusedPolicy(ctx); err != nil {
		return err
	}
	if err := d.applyPolicy(ctx, "everywhere.yaml", everywhere); err != nil {
		return err
	}
	d.store = &store{clients: map[place]*minio.Core{}}
	if err := d.command(ctx, hz, &d.store.key, "key", "create", "--description", "the demo's servers"); err != nil {
		return err
	}
	items, err := d.welcomeFiles()
	if err != nil {
		return err
	}
	// The other regions learn of the new key with the catalog; the client tries again meanwhile.
	if err := d.upload(ctx, hangzhou, models, items); err != nil {
		return err
	}
	d.welcome = items
	d.screen.say("put %d objects, %s, into s3://%s/welcome/ in Hangzhou", len(items), size(input{items: items}.bytes()), models)
	for _, p := range []place{singapore, tokyo, frankfurt} {
		if err := d.arrived(ctx, p, items); err != nil {
			return err
		}
	}
	return nil
}

// refusedPolicy names a region that does not exist yet.
func (d *demo) refusedPolicy(ctx context.Context) error {
	path := d.work.path("input", "too-early.yaml")
	if err := os.WriteFile(path, []byte(farPolicies), 0o644); err != nil {
		return err
	}
	err := d.router(hangzhou).galleon(ctx, nil, "policy", "apply", "-f", path)
	if err == nil || !strings.Contains(err.Error(), queretaro.region) {
		return expected("a policy for a region that is not open refused, with the region's name", "%v", err)
	}
	return nil
}

func (d *demo) applyPolicy(ctx context.Context, name, text string) error {
	path := d.work.path("input", name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	d.screen.show(text)
	var applied admin.PolicyApplyReply
	d.screen.say("cn-hangzhou$ galleon policy apply -f %s", name)
	if err := d.router(hangzhou).galleon(ctx, &applied, "policy", "apply", "-f", path); err != nil {
		return err
	}
	for _, r := range applied.Results {
		d.screen.say("policy %s is %s; copies go to %v", r.Name, r.Outcome, r.Targets)
	}
	return nil
}

// welcomeFiles are a few small files, and one that is larger than a chunk.
func (d *demo) welcomeFiles() ([]item, error) {
	dir := d.work.path("input", "welcome")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	for i := range 20 {
		text := strings.Repeat(fmt.Sprintf("note %d for every region\n", i), 1+i*i*300)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("note-%02d.txt", i)), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	in, err := gather(dir, "welcome/")
	return in.items, err
}

// arrived waits until a place has all items, and reads them back.
func (d *demo) arrived(ctx context.Context, p place, items []item) error {
	began := time.Now()
	c, err := d.s3(p)
	if err != nil {
		return err
	}
	err = until(ctx, 200*time.Millisecond, func() error {
		found, err := list(ctx, c, models, prefixOf(items))
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(slices.Clone(items), func(it item) bool { return found[it.key].etag == it.etag })
		if len(missing) > 0 {
			return fmt.Errorf("%d of %d objects are not there yet, %s for one", len(missing), len(items), missing[0].key)
		}
		return nil
	})
	if err != nil {
		return &unmet{fmt.Sprintf("%d objects in %s", len(items), p.name), fmt.Errorf("%w%s", err, d.flows(p))}
	}
	bad, err := d.differences(ctx, p, models, items)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return expected("the same bytes in "+p.name, "%s", some(bad))
	}
	what := fmt.Sprintf("all %d", len(items))
	if len(items) == 1 {
		what = items[0].key
	}
	d.screen.say("%-13s has %s, byte for byte, after %.1f s more", p.name, what, time.Since(began).Seconds())
	return nil
}

// prefixOf is the first part of the items' keys, which they share.
func prefixOf(items []item) string {
	first, _, _ := strings.Cut(items[0].key, "/")
	return first + "/"
}

// flows is what a router says about what it receives, for the message of a failure.
func (d *demo) flows(p place) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	text, err := d.router(p).text(ctx, "replication", "status")
	if err != nil {
		return ""
	}
	return "\n" + strings.TrimRight(text, "\n")
}
