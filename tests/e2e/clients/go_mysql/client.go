// Exercises a server with go-sql-driver and prints what came back. Arguments: host port user password.
package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const p = "c_go"

var host, port, user, password, tenant string

// A value as text; a long one by length and SHA-1.
func short(v interface{}) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		if len(v) > 100 {
			return fmt.Sprintf("bytes of %d sha1 %x", len(v), sha1.Sum(v))
		}
		return fmt.Sprintf("%q", v)
	case time.Time:
		return v.Format("2006-01-02T15:04:05.999999999")
	case string:
		return short([]byte(v))
	}
	return fmt.Sprintf("%T(%v)", v, v)
}

func failed(err error) string {
	if e, ok := err.(*mysql.MySQLError); ok {
		return fmt.Sprintf("error %d %s", e.Number, e.Message)
	}
	return "error " + err.Error()
}

func dsn(change func(*mysql.Config)) string {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = user, password, "tcp", host+":"+port, "test"
	c.MaxAllowedPacket, c.ParseTime = 1<<26, true
	if change != nil {
		change(c)
	}
	return c.FormatDSN()
}

// One connection, so that session state is the session's.
func open(change func(*mysql.Config)) (*sql.DB, *sql.Conn, error) {
	db, err := sql.Open("mysql", dsn(change))
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	c, err := db.Conn(context.Background())
	return db, c, err
}

type session interface {
	QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
	ExecContext(context.Context, string, ...interface{}) (sql.Result, error)
}

// Every result of a query, rows and columns.
func query(s session, label, text string, args ...interface{}) {
	rows, err := s.QueryContext(context.Background(), text, args...)
	printRows(label, rows, err)
}

func printRows(label string, rows *sql.Rows, err error) {
	if err != nil {
		fmt.Printf("%s: %s\n", label, failed(err))
		return
	}
	defer rows.Close()
	out := []string{}
	for more := true; more; more = rows.NextResultSet() {
		names := []string{}
		types, _ := rows.ColumnTypes()
		for _, t := range types {
			null, _ := t.Nullable()
			names = append(names, fmt.Sprintf("%s:%s:%v", t.Name(), t.DatabaseTypeName(), null))
		}
		digest, count, text := sha1.New(), 0, []string{}
		for rows.Next() {
			cells := make([]interface{}, len(names))
			to := make([]interface{}, len(names))
			for i := range cells {
				to[i] = &cells[i]
			}
			if err := rows.Scan(to...); err != nil {
				out = append(out, failed(err))
				break
			}
			row := []string{}
			for _, cell := range cells {
				row = append(row, short(cell))
			}
			count++
			line := "(" + strings.Join(row, ", ") + ")"
			io.WriteString(digest, line)
			if count <= 20 {
				text = append(text, line)
			}
		}
		if count > 20 {
			text = []string{fmt.Sprintf("%d rows sha1 %x", count, digest.Sum(nil))}
		}
		out = append(out, fmt.Sprintf("[%s] %s", strings.Join(names, ","), strings.Join(text, " ")))
	}
	if err := rows.Err(); err != nil {
		out = append(out, failed(err))
	}
	fmt.Printf("%s: %s\n", label, strings.Join(out, " | "))
}

func exec(s session, label, text string, args ...interface{}) {
	result, err := s.ExecContext(context.Background(), text, args...)
	if err != nil {
		fmt.Printf("%s: %s\n", label, failed(err))
		return
	}
	rows, _ := result.RowsAffected()
	id, _ := result.LastInsertId()
	fmt.Printf("%s: ok rows=%d id=%d\n", label, rows, id)
}

func logins() {
	fmt.Println("## logins")
	for _, l := range []struct {
		label  string
		change func(*mysql.Config)
	}{
		{"database", nil},
		{"no database", func(c *mysql.Config) { c.DBName = "" }},
		{"wrong password", func(c *mysql.Config) { c.Passwd = "not it" }},
		{"wrong user", func(c *mysql.Config) { c.User = "nobody" + tenant }},
		{"unknown database", func(c *mysql.Config) { c.DBName = "no_such_db" }},
		{"found rows", func(c *mysql.Config) { c.ClientFoundRows = true }},
		{"collation", func(c *mysql.Config) { c.Collation = "latin1_swedish_ci" }},
		{"variables", func(c *mysql.Config) { c.Params = map[string]string{"sql_mode": "'ANSI_QUOTES'", "autocommit": "0"} }},
	} {
		db, c, err := open(l.change)
		if err != nil {
			if e, ok := err.(*mysql.MySQLError); ok {
				err = fmt.Errorf("%d", e.Number)
			}
			fmt.Printf("%s: error %s\n", l.label, err)
			continue
		}
		query(c, l.label, "select database(), current_user(), @@collation_connection, @@sql_mode, @@autocommit")
		db.Close()
	}
}

func statements(c *sql.Conn) {
	fmt.Println("## statements")
	for _, text := range []string{
		"create table " + p + "_a(id bigint auto_increment primary key, v varchar(10), n tinyint, unique key(v))",
		"insert into " + p + "_a(v,n) values('a',1),('b',2),('c',3)",
		"insert into " + p + "_a(v,n) values('a',9) on duplicate key update n=n+10", "update " + p + "_a set n=n",
		"update " + p + "_a set n=5 where id<3", "insert into " + p + "_a(v) values('b')", "insert into " + p + "_a(n) values(1000)",
		"drop table if exists " + p + "_none", "selec 1", "insert into no_such_table values(1)", "set @u=1, @v='x'",
	} {
		exec(c, text, text)
	}
	for _, text := range []string{
		"select * from " + p + "_a order by id", "select cast('12x' as signed)", "show warnings", "select @u, @v, @none",
		"select 1, 1.50, 'x', null, date'2020-01-01', x'00ff', 1e0, now()>0", "select 1; select 2, 3; do 0; select 'x'",
		"select 1 as alive", // not an error in the second of several: the driver waits for more for ever
	} {
		query(c, text, text)
	}
	exec(c, "procedure", "create procedure "+p+"_two(in a int) begin select a; select a+1, 'x'; end")
	query(c, "call", "call "+p+"_two(?)", 5)
	query(c, "select 1 as alive", "select 1 as alive")
	for _, end := range []string{"commit", "rollback"} {
		for _, isolation := range []sql.IsolationLevel{sql.LevelDefault, sql.LevelReadCommitted} {
			tx, err := c.BeginTx(context.Background(), &sql.TxOptions{Isolation: isolation})
			if err != nil {
				fmt.Println("begin", failed(err))
				continue
			}
			exec(tx, "in "+isolation.String(), "insert into "+p+"_a(v) values(?)", fmt.Sprintf("%s %d", end[:2], isolation))
			if end == "commit" {
				err = tx.Commit()
			} else {
				err = tx.Rollback()
			}
			fmt.Println(end, err)
		}
	}
	tx, _ := c.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	exec(tx, "read only", "insert into "+p+"_a(v) values('r')")
	fmt.Println("rollback", tx.Rollback())
	query(c, "rows", "select v from "+p+"_a order by v")
	fmt.Println("ping", c.PingContext(context.Background()))
}

func types(c *sql.Conn) {
	fmt.Println("## types")
	exec(c, "create", "create table "+p+`_types(id int primary key, i8 tinyint, u64 bigint unsigned, i64 bigint, d decimal(30,10),
		f float, g double, dt date, tm time(6), ts datetime(6), y year, b bit(20), vb varbinary(300), lb longblob, t longtext,
		e enum('a','b'), s set('x','y'), j json)`)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	odd := "Größe 数据 🦀 'quoted' \\ \"x\" \n\t\x00 end"
	day := time.Date(2024, 2, 29, 23, 59, 59, 999999000, time.UTC)
	rows := [][]interface{}{
		{1, -128, uint64(1<<64 - 1), int64(-1 << 63), "12345678901234567890.0123456789", float32(1.5), 1e300, "2024-02-29",
			"-838:59:59.000000", day, 2155, []byte{15, 255, 255}, all, bytes.Repeat(all, 300), odd, "b", "x,y", `{"a": [1, null, "ä"]}`},
		{2, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil},
		{3, false, 0, 0, 0, 0.0, 0.0, time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC), "00:00:00", time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC), 1901, []byte{0},
			[]byte{}, []byte{}, "", "a", "", "[]"},
	}
	for _, row := range rows {
		exec(c, fmt.Sprint("insert ", row[0]), "insert into "+p+"_types values(?"+strings.Repeat(",?", 17)+")", row...)
	}
	query(c, "read without arguments", "select * from "+p+"_types order by id")
	query(c, "read with arguments", "select * from "+p+"_types where id>? order by id", 0)
	query(c, "equal", "select lb=? as b, t=? as t from "+p+"_types where id=?", rows[0][13], odd, 1)
}

func prepared(c *sql.Conn) {
	fmt.Println("## arguments")
	for _, v := range []interface{}{1, nil, "text", 2.5, []byte{0, 255}, true, time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)} {
		query(c, "echo "+short(v), "select ? as p", v)
	}
	query(c, "only nulls", "select ?, ?, ?", nil, nil, nil)
	query(c, "bad", "selec ?", 1)
	query(c, "no table", "select * from no_such_table where a=?", 1)
	exec(c, "duplicate", "insert into "+p+"_a(v) values(?)", "b")
	s, err := c.PrepareContext(context.Background(), "select v from "+p+"_a where v<>? order by v")
	if err != nil {
		fmt.Println(failed(err))
		return
	}
	for _, v := range []interface{}{"a", "b", nil, "a"} {
		rows, err := s.Query(v)
		printRows("statement "+short(v), rows, err)
	}
	fmt.Println("close", s.Close())
	sum := 0 // more statements than the server keeps open for one session, each closed in time
	for i, n := 0, 0; i < 60; i++ {
		if err := c.QueryRowContext(context.Background(), fmt.Sprintf("select ?+%d", i), i).Scan(&n); err != nil {
			fmt.Println(failed(err))
		}
		sum += n
	}
	fmt.Println("sum", sum)
	fmt.Println("## an error in the middle of the rows")
	exec(c, "create", "create table if not exists "+p+"_sq(n int primary key)")
	exec(c, "fill", "replace into "+p+"_sq values(1),(2),(3),(4),(5),(6),(7),(8),(9),(10)")
	late := strings.ReplaceAll("select a.n+b.n*10+d.n*100, repeat('z',2000), 9223372036854775797+if(a.n+b.n*10+d.n*100=1110,11,0)"+
		" from P_sq a, P_sq b, P_sq d where 1<>? order by 1 limit 1000", "P_", p+"_")
	query(c, "late", late, 2)
	query(c, "select 1 as alive", "select 1 as alive")
}

func big(c *sql.Conn, change func(*mysql.Config)) {
	fmt.Println("## large")
	exec(c, "set global", "set global max_allowed_packet=67108864")
	db, w, err := open(change)
	if err != nil {
		log.Fatal(err)
	}
	exec(w, "set", "set ob_query_timeout=100000000")
	exec(w, "create", "create table "+p+"_big(id int primary key, b longblob)")
	blob := make([]byte, 17920000)
	for i := range blob {
		blob[i] = byte(i)
	}
	exec(w, "insert", "insert into "+p+"_big values(?, ?)", 1, blob)
	query(w, "read", "select * from "+p+"_big where id=?", 1)
	query(w, "34 MB", "select repeat('0123456789abcdef', 2097159), ?", "after")
	query(w, "select 1 as alive", "select 1 as alive")
	db.Close()
	exec(c, "set global", "set global max_allowed_packet=16777216")
	exec(c, "create", "create table "+p+"_k(id int primary key, v varchar(300))")
	values := []interface{}{}
	for i := 0; i < 1000; i++ {
		values = append(values, i, strings.Repeat(fmt.Sprintf("row %d ", i), i%30))
	}
	exec(c, "1000 rows", "insert into "+p+"_k values(?,?)"+strings.Repeat(",(?,?)", 999), values...)
	query(c, "rows", "select a.id, b.v from "+p+"_k a, "+p+"_k b where a.id<? order by a.id, b.id", 30)
	fmt.Println("## load data local")
	lines := new(bytes.Buffer)
	for i := 0; i < 20000; i++ {
		fmt.Fprintf(lines, "%d,value %d\n", i, i)
	}
	mysql.RegisterReaderHandler("rows", func() io.Reader { return bytes.NewReader(lines.Bytes()) })
	mysql.RegisterReaderHandler("empty", func() io.Reader { return new(bytes.Buffer) })
	exec(c, "create", "create table "+p+"_ld(a int primary key, b varchar(40))")
	for _, what := range [][2]string{{"rows", "ld"}, {"rows", "none"}, {"empty", "ld"}, {"unknown", "ld"}} {
		exec(c, fmt.Sprint("load ", what), "load data local infile 'Reader::"+what[0]+"' into table "+p+"_"+what[1]+" fields terminated by ','")
	}
	query(c, "loaded", "select count(*), sum(a) from "+p+"_ld")
}

func drop(c *sql.Conn) {
	for _, t := range []string{"a", "types", "sq", "big", "k", "ld"} {
		c.ExecContext(context.Background(), "drop table if exists "+p+"_"+t)
	}
	c.ExecContext(context.Background(), "drop procedure if exists "+p+"_two")
}

func main() {
	host, port, user, password = os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	if at := strings.IndexByte(user, '@'); at >= 0 {
		tenant = user[at:]
	}
	mysql.SetLogger(log.New(io.Discard, "", 0)) // the driver's notes carry the time
	logins()
	for _, text := range []bool{true, false} {
		fmt.Println("# arguments as text:", text)
		change := func(c *mysql.Config) { c.InterpolateParams, c.MultiStatements = text, true }
		db, c, err := open(change)
		if err != nil {
			log.Fatal(err)
		}
		drop(c)
		statements(c)
		types(c)
		prepared(c)
		big(c, change)
		drop(c)
		c.Close()
		db.Close()
	}
}
