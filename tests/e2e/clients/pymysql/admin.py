"""root@proxysys with PyMySQL, and with its defaults (SET AUTOCOMMIT, SET NAMES)."""

import sys

import pymysql

host, port, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
connection = pymysql.connect(host=host, port=port, user=user, password=password, database="any")
with connection.cursor() as cursor:
    cursor.execute("SHOW PROXYCONFIG LIKE %s", ("drain_timeout",))
    before = cursor.fetchone()[1]
    cursor.execute("ALTER PROXYCONFIG SET drain_timeout = '31s';")
    cursor.execute("show proxyconfig like 'drain_timeout'")
    after = cursor.fetchone()[1]
    cursor.execute("select proxy_version()")
    print(cursor.fetchone()[0], before, after)
    cursor.execute("alter proxyconfig set drain_timeout = %s", (before,))
connection.commit()
connection.close()
