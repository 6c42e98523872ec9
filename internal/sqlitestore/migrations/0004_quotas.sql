-- What operators let a project use; -1 does not bound. A project without a row may use what every project may.
CREATE TABLE quotas (
    project   TEXT PRIMARY KEY,
    images    INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    uploads   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Bytes that a project took out in a month.
CREATE TABLE egress (
    project TEXT NOT NULL,
    month   TEXT NOT NULL, -- 2006-01
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (project, month)
) STRICT, WITHOUT ROWID;
