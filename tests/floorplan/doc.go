// Package floorplan holds the tree to plan.txt, the floor plan: imports run downstairs only, houses do
// not know each other, each module of others enters through its doors, and no file is a trunk. The plan is
// the policy and this package its reader; both are in tests, so that nothing depends on them.
//
// It parses the imports of every Go file in the tree itself, whatever its build constraints. Asking the
// go command gives the files of one platform, and once gave a cached answer about a tree that had moved on.
package floorplan
