// root@proxysys with go-sql-driver, with the options that operators use.
package main

import (
	"database/sql"
	"fmt"
	"os"

	_ "github.com/go-sql-driver/mysql"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	host, port, user, password := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	dsn := fmt.Sprintf("%s:%s@tcp(%s:%s)/any?multiStatements=true&interpolateParams=true", user, password, host, port)
	db, err := sql.Open("mysql", dsn)
	must(err)
	defer db.Close()
	must(db.Ping())
	value := func() string {
		var name, value, info, reboot, level, bounds, scope string
		row := db.QueryRow("SHOW PROXYCONFIG LIKE ?", "drain_timeout")
		must(row.Scan(&name, &value, &info, &reboot, &level, &bounds, &scope))
		return value
	}
	before := value()
	_, err = db.Exec("ALTER PROXYCONFIG SET drain_timeout = '31s';")
	must(err)
	after := value()
	var version string
	must(db.QueryRow("select proxy_version()").Scan(&version))
	fmt.Println(version, before, after)
	_, err = db.Exec("alter proxyconfig set drain_timeout = ?", before)
	must(err)
}
