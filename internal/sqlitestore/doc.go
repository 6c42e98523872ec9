// Package sqlitestore is images.Store in one file on one machine: SQLite in WAL mode, through a driver in pure Go.
//
// What a reader must know:
//
//   - One goroutine writes. It takes all writes that wait, runs each under its own savepoint in one transaction and commits once, so
//     that sixteen callers share one fsync. A write that returned is on the disk (synchronous=FULL, see Relaxed) and survives kill -9 and
//     a power cut.
//   - A few connections read, each from a snapshot; they never wait for the writer.
//   - Several processes may open the same file; SQLite's locks keep them apart.
//   - A record is kept whole as JSON; columns beside it repeat what lists sort and filter by (migrations/0001_records.sql).
//   - SQL narrows a list, images.Query decides: every record is asked Matches and In before it is listed.
//   - The file and its -wal and -shm are readable by their owner alone (mode 0600). Copy it with Backup, not with cp.
//
// # What a list costs
//
// A list is the merge of one ordered walk for each scope of the query, and for each status or name that it filters by. A walk reads an index from
// the position of the marker, so a page costs the same in a table of a hundred and of a million records (plan.go):
//
//   - the orders created_at, name and status, and in one's own images updated_at and size, without filters or filtered by owner, visibility,
//     status and name: exactly the entries of the page;
//   - other filters, when something in the query selects few records (an id, a hash, a tag, a property): these few are read and sorted;
//   - other filters, else: the walk reads up to 5,000 entries that do not match, and answers a short page whose Next leads on;
//   - the other orders by one key: up to 10,000 records of a scope are read and sorted, a larger one is walked in the order of all records;
//   - by several keys whose first has few values: all records of the scope are read, the page is kept in memory.
//
// The choice of the driver is explained in docs/decisions/0003-sqlite-driver.md.
package sqlitestore
