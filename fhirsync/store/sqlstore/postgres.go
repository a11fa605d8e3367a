package sqlstore

// postgresStatements are the statements for PostgreSQL. Lists come as arrays in text form, so that every driver can pass them on.
func postgresStatements(t func(string) string) statements {
	resources, patients, members, edges := t("resources"), t("patients"), t("members"), t("edges")
	states, quarantine, runs := t("states"), t("quarantine"), t("runs")
	const keys = `unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (server, type, id, at)`
	const sameKey = `r.type = k.type AND r.server = k.server AND r.id = k.id`
	// The order is made of what is small: the bodies are cut out of their parameter one by one after that.
	insert := `INSERT INTO ` + resources + ` (server, type, id, version_id, last_updated, digest, body_digest, first_seen, body)
			SELECT k.server, k.type, k.id, k.version, NULLIF(k.updated, '')::timestamptz, substring($8::bytea FROM k.at32 FOR 32),
				NULLIF(substring($9::bytea FROM k.at32 FOR 32), substring($8::bytea FROM k.at32 FOR 32)), $11::timestamptz,
				substring($10::bytea FROM k.start FOR k.length)
			FROM (SELECT *, (at::int - 1) * 32 + 1 AS at32 FROM
				unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int4[], $7::int4[])
				WITH ORDINALITY AS u (server, type, id, version, updated, start, length, at) ORDER BY at) k
			ON CONFLICT (type, server, id) DO NOTHING`
	return statements{
		// KEY SHARE: puts of one patient do not wait for each other, but erasing waits for them, and they for it.
		patient: `SELECT p.no, (SELECT u.no FROM ` + runs + ` u WHERE u.run = $3 AND u.patient_no = p.no) FROM ` + patients + ` p
			WHERE p.server = $1 AND p.id = $2 FOR KEY SHARE OF p`,
		readPatient: `SELECT no FROM ` + patients + ` WHERE server = $1 AND id = $2`,
		lockPatient: `SELECT no FROM ` + patients + ` WHERE server = $1 AND id = $2 FOR UPDATE`,
		addPatient:  `INSERT INTO ` + patients + ` (server, id) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
		dropPatient: `DELETE FROM ` + patients + ` WHERE no = $1`,

		addRun:   `INSERT INTO ` + runs + ` (run, patient_no, started) VALUES ($1, $2, $3::timestamptz) ON CONFLICT DO NOTHING`,
		oldRuns:  `DELETE FROM ` + runs + ` WHERE patient_no = $1 AND started < $2::timestamptz`,
		dropRuns: `DELETE FROM ` + runs + ` WHERE patient_no = $1`,

		insert: insert + ` RETURNING no, server, type, id`,
		insertOwn: `WITH made AS (` + insert + ` RETURNING no),
			own AS (INSERT INTO ` + members + ` (patient_no, resource_no, first_seen, last_seen, run_no)
				SELECT $12::int8, no, $11::timestamptz, $11::timestamptz, $13::int8 FROM made)
			SELECT count(*), CASE WHEN count(*) < cardinality($1::text[]) THEN string_agg(no::text, ',') END FROM made`,
		update: `UPDATE ` + resources + ` r SET version_id = k.version, last_updated = NULLIF(k.updated, '')::timestamptz,
				digest = substring($6::bytea FROM k.at32 FOR 32),
				body_digest = NULLIF(substring($7::bytea FROM k.at32 FOR 32), substring($6::bytea FROM k.at32 FOR 32)),
				body = substring($8::bytea FROM k.start FOR k.length)
			FROM (SELECT *, (at::int - 1) * 32 + 1 AS at32 FROM
				unnest($1::int8[], $2::text[], $3::text[], $4::int4[], $5::int4[])
				WITH ORDINALITY AS u (no, version, updated, start, length, at)) k
			WHERE r.no = k.no`,
		// Locked in one order everywhere, so that transactions wait for each other instead of deadlocking.
		held: `SELECT k.at - 1, r.no, r.last_updated, r.digest, r.body_digest FROM ` + keys + ` JOIN ` + resources + ` r ON ` + sameKey + `
			ORDER BY r.no FOR NO KEY UPDATE OF r`,
		// LIMIT keeps PostgreSQL from joining whole tables, which it likes to do as long as it has not analyzed them.
		holds: `SELECT k.at - 1, r.digest FROM ` + keys + ` CROSS JOIN LATERAL (SELECT r.digest FROM ` + resources + ` r WHERE ` + sameKey + ` LIMIT 1) r`,
		seen: `SELECT k.at - 1 FROM ` + keys + ` CROSS JOIN LATERAL (SELECT r.no FROM ` + resources + ` r WHERE ` + sameKey + ` LIMIT 1) r
			CROSS JOIN LATERAL (SELECT FROM ` + runs + ` u JOIN ` + members + ` m ON m.patient_no = u.patient_no AND m.run_no = u.no
				WHERE u.run = $4 AND m.resource_no = r.no LIMIT 1) m`,
		members: `INSERT INTO ` + members + ` (patient_no, resource_no, first_seen, last_seen, run_no)
			SELECT $1::int8, no, $3::timestamptz, $3::timestamptz, $4::int8 FROM unnest($2::int8[]) AS u (no)
			ON CONFLICT (patient_no, resource_no) DO UPDATE SET last_seen = excluded.last_seen, run_no = excluded.run_no`,
		dropEdges: `DELETE FROM ` + edges + ` WHERE resource_no = ANY ($1::int8[])`,
		addEdge: `INSERT INTO ` + edges + ` (resource_no, seq, path, reference, target_type, target_id, contained)
			SELECT * FROM unnest($1::int8[], $2::int4[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[])`,

		get:       selected(resources) + ` WHERE r.type = $1 AND r.server = $2 AND r.id = $3`,
		all:       paged(resources, ``, `(r.type, r.server, r.id) > ($1, $2, $3)`, `r.type, r.server, r.id`),
		ofType:    paged(resources, ``, `r.type = $1 AND (r.server, r.id) > ($2, $3)`, `r.server, r.id`),
		ofPatient: paged(resources, members, `m.patient_no = $1 AND m.resource_no > $2`, `m.resource_no`),

		loadState:      `SELECT state, rev FROM ` + states + ` WHERE key = $1`,
		createState:    `INSERT INTO ` + states + ` (key, state, rev) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		saveState:      `UPDATE ` + states + ` SET state = $2, rev = $3 WHERE key = $1 AND rev = $4`,
		dropState:      `DELETE FROM ` + states + ` WHERE key = $1 AND rev = $2`,
		dropSyncStates: `DELETE FROM ` + states + ` WHERE left(key, ` + syncStateLength + `) = $1`,

		quarantine: `INSERT INTO ` + quarantine + ` (digest, run, server, patient_id, type, id, reason, first_seen, last_seen, body, query, repairs)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz, $8::timestamptz, $9, $10, $11)
			ON CONFLICT (digest) DO UPDATE SET run = excluded.run, last_seen = excluded.last_seen`,
		quarantined:    quarantinePage(quarantine, `$1`),
		dropQuarantine: `DELETE FROM ` + quarantine + ` WHERE server = $1 AND patient_id = $2`,

		// FOR UPDATE waits for puts that have these resources in another patient's record but have not said so yet; the statements that
		// follow see what they did.
		candidates: `SELECT r.no FROM ` + members + ` m JOIN ` + resources + ` r ON r.no = m.resource_no WHERE m.patient_no = $1
			ORDER BY r.no FOR UPDATE OF r`,
		dropMembers: `DELETE FROM ` + members + ` WHERE patient_no = $1`,
		dropOrphanEdges: `DELETE FROM ` + edges + ` e WHERE resource_no = ANY ($1::int8[])
			AND NOT EXISTS (SELECT 1 FROM ` + members + ` m WHERE m.resource_no = e.resource_no)`,
		dropOrphans: `DELETE FROM ` + resources + ` r WHERE no = ANY ($1::int8[])
			AND NOT EXISTS (SELECT 1 FROM ` + members + ` m WHERE m.resource_no = r.no)`,

		bodies: `SELECT no, body FROM ` + resources + ` WHERE no > $1 ORDER BY no LIMIT 100`,
	}
}

// postgresTables makes version 1. Text is compared by bytes (COLLATE "C"), which is what ids want, and is faster. There are no foreign
// keys: they would be checked row by row, and the locks that erasing takes do their work.
func postgresTables(t func(string) string) []string {
	const text = `text COLLATE "C" NOT NULL`
	resources, members := t("resources"), t("members")
	return []string{
		`CREATE TABLE ` + resources + ` (
			no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, server ` + text + `, type ` + text + `, id ` + text + `, version_id ` + text + `,
			last_updated timestamptz, digest bytea NOT NULL, body_digest bytea, first_seen timestamptz NOT NULL, body bytea NOT NULL,
			UNIQUE (type, server, id))`,
		`CREATE TABLE ` + t("patients") + ` (
			no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, server ` + text + `, id ` + text + `, UNIQUE (server, id))`,
		`CREATE TABLE ` + members + ` (
			patient_no bigint NOT NULL, resource_no bigint NOT NULL, first_seen timestamptz NOT NULL, last_seen timestamptz NOT NULL,
			PRIMARY KEY (patient_no, resource_no))`,
		`CREATE INDEX ON ` + members + ` (resource_no)`,
		`CREATE TABLE ` + t("states") + ` (key ` + text + ` PRIMARY KEY, rev ` + text + `, state bytea NOT NULL)`,
		`CREATE TABLE ` + t("quarantine") + ` (
			no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, digest bytea NOT NULL UNIQUE, run ` + text + `, server ` + text + `,
			patient_id ` + text + `, type ` + text + `, id ` + text + `, reason ` + text + `, first_seen timestamptz NOT NULL,
			last_seen timestamptz NOT NULL, body bytea NOT NULL)`,
		`CREATE VIEW ` + t("records") + ` AS
			SELECT p.server, p.id AS patient_id, r.type, r.id, r.version_id, r.last_updated, m.first_seen, m.last_seen, r.no AS resource_no,
				convert_from(r.body, 'UTF8') AS json
			FROM ` + t("patients") + ` p JOIN ` + members + ` m ON m.patient_no = p.no JOIN ` + resources + ` r ON r.no = m.resource_no`,
	}
}

// postgresRuns makes version 2: which run has put a member last.
func postgresRuns(t func(string) string) []string {
	return []string{
		`CREATE TABLE ` + t("runs") + ` (
			no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run text COLLATE "C" NOT NULL, patient_no bigint NOT NULL,
			started timestamptz NOT NULL, UNIQUE (run, patient_no))`,
		`CREATE INDEX ON ` + t("runs") + ` (patient_no)`,
		`ALTER TABLE ` + t("members") + ` ADD COLUMN run_no bigint NOT NULL DEFAULT 0`,
	}
}

func postgresEdges(t func(string) string) []string {
	const text = `text COLLATE "C" NOT NULL`
	return []string{
		`CREATE TABLE ` + t("edges") + ` (
			resource_no bigint NOT NULL, seq integer NOT NULL, path ` + text + `, reference ` + text + `, target_type ` + text + `,
			target_id ` + text + `, contained boolean NOT NULL, PRIMARY KEY (resource_no, seq))`,
		// A reference can hold anything of any length, and an index cannot.
		`CREATE INDEX ON ` + t("edges") + ` (target_type, left(target_id, 200))`,
	}
}
