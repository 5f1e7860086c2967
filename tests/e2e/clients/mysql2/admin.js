// root@proxysys with mysql2.
'use strict';
const mysql = require('mysql2/promise');

const [host, port, user, password] = process.argv.slice(2);

async function main() {
  const connection = await mysql.createConnection({ host, port: Number(port), user, password, database: 'any' });
  const value = async (sql, args) => Object.values((await connection.query(sql, args))[0][0]);
  const before = (await value('SHOW PROXYCONFIG LIKE ?', ['drain_timeout']))[1];
  await connection.query("ALTER PROXYCONFIG SET drain_timeout = '31s'");
  const after = (await value("show proxyconfig like 'drain_timeout'"))[1];
  console.log((await value('select proxy_version()'))[0], before, after);
  await connection.query('alter proxyconfig set drain_timeout = ?', [before]);
  await connection.ping();
  await connection.end();
}

main().catch((e) => {
  console.log(String(e));
  process.exit(1);
});
