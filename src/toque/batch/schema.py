"""The tables of the store, as steps from each version to the next.

Law: a step that was ever released does not change; the same statements make both SQLite and PostgreSQL.
"""

BLOB = "{blob}"
"""Stands for what the database calls bytes (`SqlDialect.blob`)."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE files (
            id TEXT PRIMARY KEY,
            tenant TEXT NOT NULL,
            purpose TEXT NOT NULL,
            filename TEXT NOT NULL,
            size_bytes BIGINT NOT NULL,
            sha256 TEXT NOT NULL,
            created_at BIGINT NOT NULL
        )""",
        f"""CREATE TABLE pieces (
            file_id TEXT NOT NULL,
            number BIGINT NOT NULL,
            content {BLOB} NOT NULL,
            PRIMARY KEY (file_id, number)
        )""",
        """CREATE TABLE batches (
            id TEXT PRIMARY KEY,
            tenant TEXT NOT NULL,
            endpoint TEXT NOT NULL,
            input_file_id TEXT NOT NULL,
            completion_window TEXT NOT NULL,
            window_s BIGINT NOT NULL,
            metadata TEXT NOT NULL,
            status TEXT NOT NULL,
            moments TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            expires_at BIGINT NOT NULL,
            total BIGINT NOT NULL,
            completed BIGINT NOT NULL,
            failed BIGINT NOT NULL,
            output_file_id TEXT NOT NULL,
            error_file_id TEXT NOT NULL,
            errors TEXT NOT NULL,
            holder TEXT NOT NULL DEFAULT '',
            held_until BIGINT NOT NULL DEFAULT 0
        )""",
        "CREATE INDEX batches_by_status ON batches (status, created_at, id)",
        "CREATE INDEX batches_by_tenant ON batches (tenant, created_at, id)",
        f"""CREATE TABLE items (
            batch_id TEXT NOT NULL,
            line BIGINT NOT NULL,
            custom_id TEXT NOT NULL,
            body {BLOB} NOT NULL,
            state TEXT NOT NULL,
            token BIGINT NOT NULL,
            attempts BIGINT NOT NULL,
            due_at BIGINT NOT NULL,
            result {BLOB},
            PRIMARY KEY (batch_id, line),
            UNIQUE (batch_id, custom_id)
        )""",
        "CREATE INDEX items_by_due ON items (batch_id, state, due_at, line)",
    ),
    (
        "ALTER TABLE files ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0",
        "CREATE INDEX files_by_tenant ON files (tenant, created_at, id)",
        "CREATE INDEX files_by_expiry ON files (expires_at)",
        "ALTER TABLE batches ADD COLUMN model TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE batches ADD COLUMN output_life_s BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE batches ADD COLUMN input_tokens BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE batches ADD COLUMN cached_tokens BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE batches ADD COLUMN output_tokens BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE batches ADD COLUMN reasoning_tokens BIGINT NOT NULL DEFAULT 0",
        "DROP INDEX items_by_due",
        "CREATE INDEX items_in_turn ON items (batch_id, state, line)",
    ),
)
