// Package interop runs programs that nobody here wrote against a running fabric: two regions, real
// daemons, real clients in the hosts behind them. What it needs of other programs is installed by `make
// interop`; a program that is not there is reported as skipped.
package interop
