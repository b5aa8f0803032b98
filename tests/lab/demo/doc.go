// Command demo is Galleon's whole job in one run, on one machine: seven routers in six regions, each a real
// galleond in a network namespace of its own, behind a wide-area network with the round-trip times of real
// cloud regions. It is what `make demo` starts.
//
//	demo [-input PATH] [-keep]         run the story
//	demo exec NAME -- COMMAND          run a command inside a lab that -keep left running
//	demo link NAME NAME CHANGE         change a path in it
//	demo clean                         remove what earlier runs left behind
//
// The story is a list of steps (story_linux.go). Every step is a function in a file of its own, with a title,
// what it expects in a sentence, and a limit of time. The first step whose expectation is not met ends
// the run: the program says which one, what was expected, what was seen and where the logs are.
//
// The demo drives the daemon as an operator does: with the galleon CLI, and with a public S3 client. It knows
// nothing of the daemon's inside, with one exception: it finds the control process in the daemon's log, to kill it.
//
// All that it makes is in one directory under the system's directory for temporary files, all that it starts ends
// with it, and nothing needs root where the kernel allows user namespaces.
package main
