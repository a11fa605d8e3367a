package sqlstore

// sqliteStatements are the statements for SQLite. Lists come as JSON.
func sqliteStatements(t func(string) string) statements {
	resources, patients, members, edges := t("resources"), t("patients"), t("members"), t("edges")
	states, quarantine, runs := t("states"), t("quarantine"), t("runs")
	return statements{
		patient: `SELECT p.no, (SELECT u.no FROM ` + runs + ` u WHERE u.run = ?3 AND u.patient_no = p.no) FROM ` + patients + ` p
			WHERE p.server = ?1 AND p.id = ?2`,
		readPatient: `SELECT no FROM ` + patients + ` WHERE server = ?1 AND id = ?2`,
		lockPatient: `SELECT no FROM ` + patients + ` WHERE server = ?1 AND id = ?2`,
		addPatient:  `INSERT INTO ` + patients + ` (server, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING`,
		dropPatient: `DELETE FROM ` + patients + ` WHERE no = ?1`,

		addRun:   `INSERT INTO ` + runs + ` (run, patient_no, started) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`,
		oldRuns:  `DELETE FROM ` + runs + ` WHERE patient_no = ?1 AND started < ?2`,
		dropRuns: `DELETE FROM ` + runs + ` WHERE patient_no = ?1`,

		insert: `INSERT INTO ` + resources + ` (server, type, id, version_id, last_updated, digest, body_digest, first_seen, body)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (type, server, id) DO NOTHING`,
		update: `UPDATE ` + resources + ` SET version_id = ?1, last_updated = ?2, digest = ?3, body_digest = ?4, body = ?5 WHERE no = ?6`,
		// CROSS JOIN: SQLite then looks the keys up in the index, instead of the other way round.
		held: `SELECT k.key, r.no, r.last_updated, r.digest, r.body_digest FROM json_each(?1) k CROSS JOIN ` + resources + ` r
			ON r.type = json_extract(k.value, '$[1]') AND r.server = json_extract(k.value, '$[0]') AND r.id = json_extract(k.value, '$[2]')`,
		// The keys of one type of one server: to take triples apart costs more than to look them up.
		holds: `SELECT k.key, r.digest FROM json_each(?3) k CROSS JOIN ` + resources + ` r ON r.type = ?2 AND r.server = ?1 AND r.id = k.value`,
		seen: `SELECT k.key FROM json_each(?1) k CROSS JOIN ` + resources + ` r
			ON r.type = json_extract(k.value, '$[1]') AND r.server = json_extract(k.value, '$[0]') AND r.id = json_extract(k.value, '$[2]')
			CROSS JOIN ` + runs + ` u ON u.run = ?2
			CROSS JOIN ` + members + ` m ON m.patient_no = u.patient_no AND m.resource_no = r.no AND m.run_no = u.no`,
		// WHERE true: SQLite would take ON for that of a join.
		members: `INSERT INTO ` + members + ` (patient_no, resource_no, first_seen, last_seen, run_no)
			SELECT ?1, value, ?3, ?3, ?4 FROM json_each(?2) WHERE true
			ON CONFLICT (patient_no, resource_no) DO UPDATE SET last_seen = excluded.last_seen, run_no = excluded.run_no`,
		dropEdges: `DELETE FROM ` + edges + ` WHERE resource_no IN (SELECT value FROM json_each(?1))`,
		addEdge: `INSERT INTO ` + edges + ` (resource_no, seq, path, reference, target_type, target_id, contained)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,

		get:       selected(resources) + ` WHERE r.type = ?1 AND r.server = ?2 AND r.id = ?3`,
		all:       paged(resources, ``, `(r.type, r.server, r.id) > (?1, ?2, ?3)`, `r.type, r.server, r.id`),
		ofType:    paged(resources, ``, `r.type = ?1 AND (r.server, r.id) > (?2, ?3)`, `r.server, r.id`),
		ofPatient: paged(resources, members, `m.patient_no = ?1 AND m.resource_no > ?2`, `m.resource_no`),

		loadState:      `SELECT state, rev FROM ` + states + ` WHERE key = ?1`,
		createState:    `INSERT INTO ` + states + ` (key, state, rev) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`,
		saveState:      `UPDATE ` + states + ` SET state = ?2, rev = ?3 WHERE key = ?1 AND rev = ?4`,
		dropState:      `DELETE FROM ` + states + ` WHERE key = ?1 AND rev = ?2`,
		dropSyncStates: `DELETE FROM ` + states + ` WHERE substr(key, 1, ` + syncStateLength + `) = ?1`,

		quarantine: `INSERT INTO ` + quarantine + ` (digest, run, server, patient_id, type, id, reason, first_seen, last_seen, body, query, repairs)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11) ON CONFLICT (digest) DO UPDATE SET run = excluded.run, last_seen = excluded.last_seen`,
		quarantined:    quarantinePage(quarantine, `?1`),
		dropQuarantine: `DELETE FROM ` + quarantine + ` WHERE server = ?1 AND patient_id = ?2`,

		candidates:  `SELECT resource_no FROM ` + members + ` WHERE patient_no = ?1 ORDER BY resource_no`,
		dropMembers: `DELETE FROM ` + members + ` WHERE patient_no = ?1`,
		dropOrphanEdges: `DELETE FROM ` + edges + ` WHERE resource_no IN (SELECT value FROM json_each(?1))
			AND NOT EXISTS (SELECT 1 FROM ` + members + ` m WHERE m.resource_no = ` + edges + `.resource_no)`,
		dropOrphans: `DELETE FROM ` + resources + ` WHERE no IN (SELECT value FROM json_each(?1))
			AND NOT EXISTS (SELECT 1 FROM ` + members + ` m WHERE m.resource_no = ` + resources + `.no)`,

		bodies: `SELECT no, body FROM ` + resources + ` WHERE no > ?1 ORDER BY no LIMIT 100`,
	}
}

// sqliteTables makes version 1. The body is the last column: what is before it is read without it. No table with bodies is WITHOUT ROWID,
// which would put them into the tree that is searched: a quarter of the speed and twice the size.
func sqliteTables(t func(string) string) []string {
	resources, members := t("resources"), t("members")
	return []string{
		`CREATE TABLE ` + resources + ` (
			no INTEGER PRIMARY KEY, server TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, version_id TEXT NOT NULL, last_updated TEXT,
			digest BLOB NOT NULL, body_digest BLOB, first_seen TEXT NOT NULL, body BLOB NOT NULL)`,
		`CREATE UNIQUE INDEX ` + t("resources_key") + ` ON ` + resources + ` (type, server, id)`,
		`CREATE TABLE ` + t("patients") + ` (no INTEGER PRIMARY KEY AUTOINCREMENT, server TEXT NOT NULL, id TEXT NOT NULL, UNIQUE (server, id))`,
		`CREATE TABLE ` + members + ` (
			patient_no INTEGER NOT NULL, resource_no INTEGER NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL,
			PRIMARY KEY (patient_no, resource_no)) WITHOUT ROWID`,
		`CREATE INDEX ` + t("members_resource") + ` ON ` + members + ` (resource_no)`,
		`CREATE TABLE ` + t("states") + ` (key TEXT PRIMARY KEY, rev TEXT NOT NULL, state BLOB NOT NULL)`,
		`CREATE TABLE ` + t("quarantine") + ` (
			no INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, run TEXT NOT NULL, server TEXT NOT NULL, patient_id TEXT NOT NULL,
			type TEXT NOT NULL, id TEXT NOT NULL, reason TEXT NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL, body BLOB NOT NULL)`,
		`CREATE VIEW ` + t("records") + ` AS
			SELECT p.server, p.id AS patient_id, r.type, r.id, r.version_id, r.last_updated, m.first_seen, m.last_seen, r.no AS resource_no,
				CAST(r.body AS TEXT) AS json
			FROM ` + t("patients") + ` p JOIN ` + members + ` m ON m.patient_no = p.no JOIN ` + resources + ` r ON r.no = m.resource_no`,
	}
}

// sqliteRuns makes version 2: which run has put a member last.
func sqliteRuns(t func(string) string) []string {
	return []string{
		`CREATE TABLE ` + t("runs") + ` (
			no INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, patient_no INTEGER NOT NULL, started TEXT NOT NULL, UNIQUE (run, patient_no))`,
		`CREATE INDEX ` + t("runs_patient") + ` ON ` + t("runs") + ` (patient_no)`,
		`ALTER TABLE ` + t("members") + ` ADD COLUMN run_no INTEGER NOT NULL DEFAULT 0`,
	}
}

func sqliteEdges(t func(string) string) []string {
	return []string{
		`CREATE TABLE ` + t("edges") + ` (
			resource_no INTEGER NOT NULL, seq INTEGER NOT NULL, path TEXT NOT NULL, reference TEXT NOT NULL, target_type TEXT NOT NULL,
			target_id TEXT NOT NULL, contained INTEGER NOT NULL, PRIMARY KEY (resource_no, seq)) WITHOUT ROWID`,
		`CREATE INDEX ` + t("edges_target") + ` ON ` + t("edges") + ` (target_type, target_id)`,
	}
}
