// Package interop runs programs that nobody here wrote against a running fabric: two regions, real
// daemons, real clients in the hosts behind them, and the suites that other servers' people wrote against one
// router. What it needs of other programs is installed by `make test-interop`; a client that is not there is reported
// as skipped. What of the suites does not pass is in testdata/exclusions.txt, each with its reason and with what it
// says when it fails for that reason: a test that passes all the same, or fails otherwise, is an error here.
package interop
