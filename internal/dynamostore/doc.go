// Package dynamostore is images.Store on one DynamoDB table. Every access is a GetItem, a BatchGetItem of known keys or a Query whose cost
// follows the page and not the table; nothing scans.
//
// # Items
//
//	pk                            sk                     what
//	image/{id}                    record                 the record; after a deletion its tombstone, so that no id is used again
//	image/{id}                    members                the member list: an attribute "m:{project}" each, and their count
//	image/{id}                    event/{version}        history, kept for good
//	own/{field}/{hidden}/{owner}  {sort key}             row: the owner's lists by created_at and by name
//	shares/{status}/{project}     {created}{id}          row: what is shared with a project, by member status
//	usage/{project}               usage                  figures that a quota bounds
//	usage/{project}               quota                  what operators let the project use
//	usage/{project}               egress/{month}         bytes that it took out in the month
//	outbox/{shard}                {id}/{version}         event that nobody has acknowledged
//	ephemeral/{key}               value                  values with a time to live (attribute "expires")
//
// A record also carries the keys of the indexes, in attributes of one letter: o (owner) and v (visibility and shard) are partitions, c n u s z f g are sort
// keys by created_at, name, updated_at, status, size, disk_format and container_format; d and t are the partition and time of what is due. A
// record that no list shows lacks o and v, one that is never due lacks d, and so they are in none of these indexes.
//
// # Lists
//
// A sort key is value, time of creation, id: the complete order of images.Query.Order when one key was asked for, up or down. Each of the eight sort
// keys of Glance has an index by visibility (visibility-{field}), which serves public and community lists and, merged over the four visibilities, the
// lists of administrators; and one by owner (own-{field}). Hidden images have partitions of their own, as a list shows either kind. Filters on name,
// status and formats narrow the range of the index; other filters are applied to the records. A page merges the keys of its partitions, reads the
// records in that order, and checks each against images.Query.Lists: an index says where to look, the record says what is true. An order of several
// keys sorts groups of ties in memory, up to a thousand; a larger group is read by the index of the next key. A page reads at most some 2000 records: with
// filters that find little, and with records of 4 MB together, it is short and says where it ends. What is shared with a project in another order than that of creation is read whole.
//
// A page goes on behind a key and not by a token of DynamoDB, so a marker whose record was deleted serves as well; its tombstone keeps what sorts.
//
// # Consistency
//
// Clients list right after they create and expect the image (openstacksdk does). The project's own lists by created_at and by name, which are the
// defaults of clients, and its shares therefore come from items of the table that change in the transaction of the record and are read consistently; and
// administrators' lists in these orders include those of their own project. No local secondary index: it would bound a project to 10 GB and one
// partition, for ever. All else follows a moment later, as indexes do: lists of others' images, and own lists in other orders or of public visibility.
//
// # Writes
//
// A change that concerns the record alone is one PutItem, conditional on the version. Whatever must agree with it (usage, events, rows, tombstone) makes it
// one TransactWriteItems. A quota is a condition on the item of usage, so it holds however many write at once; that item is the one hot spot, about a
// thousand images that come or go a second and project, and only writes that change a figure touch it. Conflicts are tried again with random waits;
// throttling, errors of the service and broken connections by the SDK, ten times in all. A write whose answer was lost is recognised: a transaction by
// its token, a PutItem by the mark in the record. A transaction has at most 100 parts: of the rows of more than some ninety members, the rest goes after the image; until
// then they point at a tombstone, which no list shows.
//
// # Cost
//
// Projected keys alone cost a unit when they appear or change and nothing else; a patch moves two entries (updated_at, in two indexes). Measured by TestCapacity on
// an image of a kilobyte, in request units; dollars per million at 0.125 for reads and 0.625 for writes (us-east-1, on demand):
//
//	operation                    requests   read  write      $
//	create                              2      1     26  16.38
//	show                                1      1      0   0.12
//	patch                               3      2      5   3.38
//	open an upload                      4      3     11   7.25
//	complete an upload                  3      2     18  11.50
//	accept                              2      1     23  14.50
//	add a member                        3      2      8   5.25
//	delete (two writes)                 5      3     42  26.62
//	list 25 of the project              8     31      0   3.88
//	list 25 public                      5   14.5      0   1.81
//	list 200 of the project            10    276      0  34.50
//	find by name                        7      5      0   0.62
//
// Fifteen indexes look like many. All that an image writes in its life, from creation to deletion, costs less than a ten-thousandth of a dollar; one gigabyte of it
// costs some two hundredths a month to keep. Without the indexes of rare orders it would be about half, and each page in such an order would read all images of a project.
//
// # A public list that a thousand clients read each second
//
// Lists by visibility are spread over four partitions by a hash of the id. One page of 200 reads 4 × 1.5 units of keys and, half a unit to one each, 100 to 200
// of records: 1000 a second would be some 200,000 units a second, more than a table is given, and each of the 200 records would be read at up to 1000 units a
// second, a third of what one partition serves. So Options.PublicFor keeps the keys and records of public lists in the memory of the process for that long.
// Lambda needs some 50 processes for 1000 requests of 50 ms a second; with five seconds they read 10 pages a second in place of 1000: some 2,000 units, 15 on a
// partition of keys and at most 10 on a record. Others then see a change of a public image up to five seconds later; the lists of the owner are not concerned.
//
// # Permissions
//
//	dynamodb:GetItem dynamodb:BatchGetItem dynamodb:ConditionCheckItem dynamodb:PutItem dynamodb:UpdateItem
//	dynamodb:DeleteItem dynamodb:BatchWriteItem   on the table
//	dynamodb:Query                                on the table and its indexes (…/index/*)
//
// A role that only reads needs GetItem, BatchGetItem and Query.
package dynamostore
