"""root@proxysys with mysql-connector-python, its pure Python part."""

import sys

import mysql.connector

host, port, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
connection = mysql.connector.connect(host=host, port=port, user=user, password=password, use_pure=True)
cursor = connection.cursor()
cursor.execute("SHOW PROXYCONFIG LIKE %s", ("drain_timeout",))
before = cursor.fetchall()[0][1]
cursor.execute("ALTER PROXYCONFIG SET drain_timeout = '31s'")
cursor.execute("show proxyconfig like 'drain_timeout'")
after = cursor.fetchall()[0][1]
cursor.execute("select proxy_version()")
print(cursor.fetchall()[0][0], before, after)
cursor.execute("alter proxyconfig set drain_timeout = %s", (before,))
connection.ping()
connection.close()
