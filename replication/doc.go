// Package replication carries out the plan: it makes every region that a policy names hold what the policy
// says, and knows at every moment how far each of them is.
//
// Replication is pulled. A destination follows a source through one stream for each rule, and keeps the
// cursor of what it has in its own store, committed in the same batch as the objects: a break at any
// point, in either process, costs nothing but what was under way, and the chunks of that are kept too.
//
//	destination                                  source
//	  hello {rule, cursor} ───────────────────▶    where am I, what do I follow
//	  ◀─────────────────────── welcome {cursor}    where it goes on from, a new store begins with a walk
//	  ◀────────────────── batch {versions, cursor} up to a window ahead of what was acknowledged
//	  want {chunks that are not here} ────────▶
//	  ◀─────────────────────────── chunks (zstd)   in the order asked for
//	  ack {cursor} ───────────────────────────▶    after it is applied and synced
//
// A cursor has two phases. The walk visits the bucket in key order, which is how a new destination, a new
// policy or a destination that fell behind the log gets what exists; it is resumed at the key. The tail
// follows the source's change log from where it was when the walk began.
//
// Who follows whom: the router that owns its region's buckets follows the owner of every region that a
// policy names as a source; the other routers of a region follow their own owner, in everything, so that
// an ocean is crossed once for a region. A version is only sent on, under a policy, by the region that
// took the write; so nothing can run in a circle.
package replication
