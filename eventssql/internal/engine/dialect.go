package engine

import (
	"strconv"
	"strings"
	"sync"
)

// Dialect turns the statements of this package into those of a database, each once.
type Dialect struct {
	tables   string // what the names of tables begin with, in place of @
	numbered bool   // parameters are $1, $2, … in place of ?
	words    *strings.Replacer
	known    sync.Map // of string to string
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
func SQLite(prefix string) *Dialect { return newDialect(prefix, false, sqliteWords) }

// Postgres returns the dialect of PostgreSQL.
func Postgres(schemaAndPrefix string) *Dialect {
	return newDialect(schemaAndPrefix, true, postgresWords)
}

func newDialect(tables string, numbered bool, words []string) *Dialect {
	return &Dialect{tables: tables, numbered: numbered, words: strings.NewReplacer(words...)}
}

// SQL returns a statement in the words of the database.
func (d *Dialect) SQL(statement string) string {
	if known, ok := d.known.Load(statement); ok {
		return known.(string)
	}
	translated := d.translate(statement)
	d.known.Store(statement, translated)
	return translated
}

// translate puts in the names of tables last: what is in them is nobody's word or parameter.
func (d *Dialect) translate(statement string) string {
	statement = d.words.Replace(statement)
	if d.numbered {
		parts := strings.Split(statement, "?")
		var b strings.Builder
		for i, part := range parts {
			if b.WriteString(part); i < len(parts)-1 {
				b.WriteString("$" + strconv.Itoa(i+1))
			}
		}
		statement = b.String()
	}
	return strings.ReplaceAll(statement, "@", d.tables)
}
