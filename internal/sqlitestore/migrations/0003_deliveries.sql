-- Events that wait for one destination each, in order for each image.
CREATE TABLE deliveries (
    n           INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT    NOT NULL,
    image_id    TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    event       TEXT    NOT NULL,
    added_at    INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX deliveries_of_image ON deliveries (destination, image_id, seq);
CREATE INDEX        deliveries_due      ON deliveries (destination, due_at, n);
