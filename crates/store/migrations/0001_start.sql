-- Times are microseconds since 1970 in UTC. Record ids are 16 bytes. Columns marked `sealed` are encrypted (crypto.rs).

CREATE TABLE data_key (
    generation INTEGER PRIMARY KEY,
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- One counter for the whole database: lease tokens and counterpart revisions are drawn from it, so that it can be told
-- which came first.
CREATE TABLE sequence (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO sequence VALUES (1, 0);

CREATE TABLE inbox (
    id          INTEGER PRIMARY KEY,
    connection  TEXT NOT NULL,
    channel     TEXT NOT NULL,
    topic       TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    body        BLOB NOT NULL, -- sealed
    state       TEXT NOT NULL,
    outcome     TEXT,
    next_at     INTEGER,
    tries       INTEGER NOT NULL DEFAULT 0,
    message     TEXT,
    ended_at    INTEGER
) STRICT;
CREATE UNIQUE INDEX inbox_event ON inbox (connection, topic, event_id);
CREATE INDEX inbox_state ON inbox (state, next_at);

-- What was last seen of each thing that a stream reads.
CREATE TABLE seen (
    connection  TEXT NOT NULL,
    topic       TEXT NOT NULL,
    remote_key  TEXT NOT NULL,
    fingerprint BLOB NOT NULL, -- keyed hash
    read_began  INTEGER NOT NULL,
    PRIMARY KEY (connection, topic, remote_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor (
    connection TEXT NOT NULL,
    stream     TEXT NOT NULL,
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (connection, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    id         BLOB PRIMARY KEY,
    kind       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    label      TEXT,
    payload    BLOB NOT NULL, -- sealed
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX record_label ON record (kind, label) WHERE label IS NOT NULL;
CREATE INDEX record_updated ON record (kind, updated_at);

CREATE TABLE record_version (
    record  BLOB NOT NULL,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    cause   TEXT NOT NULL,
    PRIMARY KEY (record, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE record_key (
    hash   BLOB NOT NULL, -- keyed hash of kind, name and value
    record BLOB NOT NULL,
    PRIMARY KEY (hash, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_key_record ON record_key (record);

CREATE TABLE counterpart (
    id               INTEGER PRIMARY KEY,
    record           BLOB NOT NULL,
    kind             TEXT NOT NULL,
    connection       TEXT NOT NULL,
    scope            TEXT NOT NULL,
    remote_type      TEXT NOT NULL,
    remote_id        TEXT NOT NULL,
    role             TEXT NOT NULL,
    number           TEXT,
    links            TEXT NOT NULL,
    observed         BLOB, -- sealed
    observed_version TEXT,
    written          BLOB, -- sealed
    written_version  INTEGER,
    settled          INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    watched_at       INTEGER NOT NULL,
    revision         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX counterpart_external
    ON counterpart (remote_id, remote_type, connection, scope, role, record);
CREATE UNIQUE INDEX counterpart_primary_external
    ON counterpart (remote_id, remote_type, connection, scope) WHERE role = 'primary';
CREATE UNIQUE INDEX counterpart_primary_record
    ON counterpart (record, connection, scope, remote_type) WHERE role = 'primary';
CREATE INDEX counterpart_record ON counterpart (record, connection);
CREATE INDEX counterpart_number ON counterpart (number) WHERE number IS NOT NULL;
CREATE INDEX counterpart_watch ON counterpart (connection, remote_type, watched_at) WHERE settled = 0;

CREATE TABLE change (
    id          INTEGER PRIMARY KEY,
    inbox       INTEGER,
    connection  TEXT NOT NULL,
    kind        TEXT NOT NULL,
    scope       TEXT NOT NULL,
    remote_type TEXT NOT NULL,
    remote_id   TEXT NOT NULL,
    role        TEXT NOT NULL,
    label       TEXT,
    version     TEXT NOT NULL,
    deleted     INTEGER NOT NULL,
    settled     INTEGER NOT NULL,
    links       TEXT NOT NULL,
    payload     BLOB, -- sealed
    outcome     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    record      BLOB,
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX change_record ON change (record) WHERE record IS NOT NULL;
CREATE INDEX change_inbox ON change (inbox) WHERE inbox IS NOT NULL;
CREATE INDEX change_outcome ON change (outcome);
CREATE INDEX change_kind ON change (kind, id, at, connection);

CREATE TABLE delivery (
    id            INTEGER PRIMARY KEY,
    flow          TEXT NOT NULL,
    connection    TEXT NOT NULL,
    root          BLOB NOT NULL,
    record        BLOB NOT NULL,
    kind          TEXT NOT NULL,
    version       INTEGER NOT NULL,
    action        TEXT NOT NULL,
    freshness     INTEGER NOT NULL, -- 0 is the most urgent
    next_at       INTEGER NOT NULL,
    payload       BLOB, -- sealed
    origin_at     INTEGER NOT NULL,
    reason        TEXT,
    state         TEXT NOT NULL,
    failures      INTEGER NOT NULL DEFAULT 0,
    progress      BLOB, -- sealed
    intent        TEXT,
    created_at    INTEGER NOT NULL,
    finished_at   INTEGER,
    message       TEXT,
    superseded_by INTEGER
) STRICT;
CREATE INDEX delivery_open ON delivery (connection, root, id) WHERE finished_at IS NULL;
CREATE INDEX delivery_record ON delivery (record, id);
CREATE INDEX delivery_flow ON delivery (flow, state, id);
CREATE INDEX delivery_state ON delivery (state, id);
CREATE INDEX delivery_finished ON delivery (finished_at, state, flow, origin_at) WHERE finished_at IS NOT NULL;

-- Records whose counterparts a blocked delivery waits for.
CREATE TABLE delivery_wait (
    record     BLOB NOT NULL,
    connection TEXT NOT NULL,
    delivery   INTEGER NOT NULL,
    PRIMARY KEY (record, connection, delivery)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_wait_delivery ON delivery_wait (delivery);

-- The queue: a row for each lane that has something to do or is leased. `due` is that of the first delivery that nothing
-- holds back; it is reckoned anew whenever a delivery of the lane moves (lanes.rs).
CREATE TABLE lane (
    connection TEXT NOT NULL,
    root       BLOB NOT NULL,
    freshness  INTEGER NOT NULL,
    due        INTEGER,
    token      INTEGER NOT NULL DEFAULT 0,
    until      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (connection, root)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_due ON lane (connection, freshness, due) WHERE due IS NOT NULL;
CREATE INDEX lane_leased ON lane (connection) WHERE token > 0;

CREATE TABLE attempt (
    id       INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL,
    step     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    millis   INTEGER NOT NULL,
    failure  TEXT,
    status   INTEGER,
    message  TEXT NOT NULL,
    request  BLOB, -- sealed
    response BLOB -- sealed
) STRICT;
CREATE INDEX attempt_delivery ON attempt (delivery);

CREATE TABLE review (
    id         INTEGER PRIMARY KEY,
    subject    TEXT NOT NULL, -- `delivery 12`, `inbox 7` or `record <id>`
    reason     TEXT NOT NULL,
    message    TEXT NOT NULL,
    detail     BLOB NOT NULL, -- sealed
    connection TEXT,
    record     BLOB,
    opened_at  INTEGER NOT NULL,
    closed_at  INTEGER,
    closed_as  TEXT,
    closed_by  TEXT
) STRICT;
CREATE UNIQUE INDEX review_open ON review (subject, reason) WHERE closed_at IS NULL;
CREATE INDEX review_waiting ON review (id) WHERE closed_at IS NULL;
CREATE INDEX review_subject ON review (subject);
CREATE INDEX review_record ON review (record) WHERE record IS NOT NULL;

CREATE TABLE reservation (
    order_id      BLOB NOT NULL,
    line          TEXT NOT NULL,
    item          BLOB NOT NULL,
    location      TEXT NOT NULL,
    store         TEXT NOT NULL,
    quantity      TEXT NOT NULL,
    open_in_store TEXT NOT NULL,
    confirmed_at  INTEGER,
    PRIMARY KEY (order_id, line, item, location)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservation_item ON reservation (item);

CREATE TABLE config_revision (
    id     INTEGER PRIMARY KEY,
    base   INTEGER,
    bundle BLOB NOT NULL, -- sealed
    note   TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT;

CREATE TABLE secret (
    name       TEXT PRIMARY KEY,
    value      BLOB NOT NULL, -- sealed
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sample (
    id         INTEGER PRIMARY KEY,
    connection TEXT NOT NULL,
    topic      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    body       BLOB NOT NULL -- sealed
) STRICT;
CREATE INDEX sample_topic ON sample (connection, topic);

CREATE TABLE job (
    name       TEXT PRIMARY KEY,
    value      BLOB NOT NULL, -- sealed
    next_at    INTEGER,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
