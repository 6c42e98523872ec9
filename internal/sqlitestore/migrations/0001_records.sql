-- A record is kept whole in images.record, as JSON. The other columns repeat what lists sort and filter by, and are written from the record
-- and with it. Times are microseconds since 1970.
CREATE TABLE images (
    n                INTEGER PRIMARY KEY, -- by which the other tables know it; may be given again after a delete
    id               TEXT    NOT NULL UNIQUE,
    version          INTEGER NOT NULL,
    owner            TEXT    NOT NULL,
    visibility       TEXT    NOT NULL,
    shelf            INTEGER NOT NULL, -- 0 listed, 1 hidden, 2 being deleted and in no list
    name             TEXT    NOT NULL,
    folded           TEXT    NOT NULL, -- the name with case ignored
    status           TEXT    NOT NULL,
    disk_format      TEXT    NOT NULL,
    container_format TEXT    NOT NULL,
    size             INTEGER NOT NULL, -- -1 is null
    virtual_size     INTEGER NOT NULL, -- -1 is null
    min_disk         INTEGER NOT NULL,
    min_ram          INTEGER NOT NULL,
    protected        INTEGER NOT NULL,
    checksum         TEXT    NOT NULL,
    hash_value       TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    due_at           INTEGER,          -- null is never
    bytes            INTEGER NOT NULL, -- bytes, in_flight, uploads: what the record uses, as in table usage
    in_flight        INTEGER NOT NULL,
    uploads          INTEGER NOT NULL,
    record           TEXT    NOT NULL
) STRICT;

CREATE INDEX own_created    ON images (owner, shelf, created_at, id);
CREATE INDEX own_name       ON images (owner, shelf, name, created_at, id);
CREATE INDEX own_status     ON images (owner, shelf, status, created_at, id);
CREATE INDEX own_visibility ON images (owner, shelf, visibility, created_at, id);
CREATE INDEX own_updated    ON images (owner, shelf, updated_at, created_at, id);
CREATE INDEX own_size       ON images (owner, shelf, size, created_at, id);
CREATE INDEX vis_created    ON images (visibility, shelf, created_at, id);
CREATE INDEX vis_name       ON images (visibility, shelf, name, created_at, id);
CREATE INDEX vis_status     ON images (visibility, shelf, status, created_at, id);
CREATE INDEX by_updated     ON images (shelf, updated_at, created_at, id);
CREATE INDEX by_size        ON images (shelf, size, created_at, id);
CREATE INDEX by_disk        ON images (shelf, disk_format, created_at, id);
CREATE INDEX by_container   ON images (shelf, container_format, created_at, id);
CREATE INDEX by_checksum    ON images (checksum)   WHERE checksum <> '';
CREATE INDEX by_hash        ON images (hash_value) WHERE hash_value <> '';
CREATE INDEX by_due         ON images (due_at)     WHERE due_at IS NOT NULL;

-- Ids that were used, with what a list's marker needs.
CREATE TABLE tombstones (
    id     TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Tags and properties, each as a 64-bit hash. A match is only a candidate: the record decides.
CREATE TABLE marks (
    image INTEGER NOT NULL REFERENCES images (n) ON DELETE CASCADE,
    mark  INTEGER NOT NULL,
    PRIMARY KEY (image, mark)
) STRICT, WITHOUT ROWID;
CREATE INDEX by_mark ON marks (mark, image);

-- The three last columns repeat the image's, so that what is shared with a project is listed in order without a sort. shelf is -1 while
-- the image is not shared.
CREATE TABLE members (
    image            INTEGER NOT NULL REFERENCES images (n) ON DELETE CASCADE,
    project          TEXT    NOT NULL,
    status           TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    shelf            INTEGER NOT NULL,
    image_created_at INTEGER NOT NULL,
    image_id         TEXT    NOT NULL,
    PRIMARY KEY (image, project)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_project ON members (project, status, shelf, image_created_at, image_id);

-- What each project uses: the sum over its records. A project that uses nothing has no row.
CREATE TABLE usage (
    project   TEXT PRIMARY KEY,
    images    INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    uploads   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    n         INTEGER PRIMARY KEY, -- in the order of the writes
    image_id  TEXT    NOT NULL,
    seq       INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    event     TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX by_image    ON events (image_id, seq);
CREATE INDEX        undelivered ON events (n) WHERE delivered = 0;

-- What the storage said and nobody has handled yet.
CREATE TABLE arrivals (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    key      TEXT    NOT NULL,
    payload  BLOB    NOT NULL,
    added_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at   INTEGER NOT NULL,
    reason   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX arrivals_due ON arrivals (due_at, id);

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
