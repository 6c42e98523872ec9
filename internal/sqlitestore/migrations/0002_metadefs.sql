-- Definitions of metadata: one JSON document for each namespace that administrators added.
CREATE TABLE metadefs (
    name     TEXT PRIMARY KEY,
    version  INTEGER NOT NULL,
    document TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
