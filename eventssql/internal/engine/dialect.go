package engine

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// Dialect turns the statements of this package into those of a database.
type Dialect struct {
	Tables   string // what the names of tables begin with, in place of @
	Numbered bool   // parameters are $1, $2, … in place of ?
	words    *strings.Replacer
}

var (
	sqliteWords = []string{
		"{texts}", "select value from json_each(?)",
		"{numbers}", "select value from json_each(?)",
		"{skip locked}", "",
		"{by key}", "indexed by @delivery_key",
		"{by live}", "indexed by @delivery_live",
		"{id column}", "",
		"{id}", "",
	}
	postgresWords = []string{
		"{texts}", "select json_array_elements_text(?::json) as value",
		"{numbers}", "select json_array_elements_text(?::json)::bigint as value",
		"{skip locked}", "for update of d skip locked",
		"{by key}", "",
		"{by live}", "",
		// An id that groups do not look at any more is an error, of division by zero. Its
		// argument is the last one of those.
		"{id column}", "id, ",
		"{id}", "(select n.id / (n.id > ?)::int from (select nextval('@message_id') as id) as n), ",
	}
)

// SQLite returns the dialect of SQLite.
func SQLite(prefix string) Dialect { return newDialect(prefix, false, sqliteWords) }

// Postgres returns the dialect of PostgreSQL.
func Postgres(schemaAndPrefix string) Dialect {
	return newDialect(schemaAndPrefix, true, postgresWords)
}

func newDialect(tables string, numbered bool, words []string) Dialect {
	return Dialect{Tables: tables, Numbered: numbered, words: strings.NewReplacer(words...)}
}

// SQL returns a statement in the words of the database. The names of tables come last: what
// is in them is nobody's word or parameter.
func (d Dialect) SQL(statement string) string {
	statement = d.words.Replace(statement)
	if d.Numbered {
		parts := strings.Split(statement, "?")
		var b strings.Builder
		for i, part := range parts {
			if b.WriteString(part); i < len(parts)-1 {
				b.WriteString("$" + strconv.Itoa(i+1))
			}
		}
		statement = b.String()
	}
	return strings.ReplaceAll(statement, "@", d.Tables)
}

// Hash returns a number for a name, for where a database wants one.
func Hash(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // it never fails
	return int64(h.Sum64())
}
