// Exercises a server with mysql2 and prints what came back. Arguments: host port user password.
'use strict';
const mysql = require('mysql2');
const { createHash } = require('crypto');
const { Readable } = require('stream');

const [host, port, user, password] = process.argv.slice(2);
const tenant = user.includes('@') ? user.slice(user.indexOf('@')) : '';
const p = 'c_mysql2';
const sha1 = (data) => createHash('sha1').update(data).digest('hex');
const print = (...words) => console.log(...words);

// A value as text; a long one by length and SHA-1.
function short(value) {
  if (Buffer.isBuffer(value)) {
    return value.length > 60 ? `bytes of ${value.length} sha1 ${sha1(value)}` : `0x${value.toString('hex')}`;
  }
  if (typeof value === 'string' && value.length > 120) return `text of ${value.length} sha1 ${sha1(value)}`;
  if (Array.isArray(value)) return `[${value.map(short).join(', ')}]`;
  if (value instanceof Date) return value.toISOString();
  if (value && typeof value === 'object') {
    return `{${Object.entries(value).map(([k, v]) => `${k}: ${short(v)}`).join(', ')}}`;
  }
  return JSON.stringify(value);
}

// What one reply holds: a header (affected rows and so on), rows, or a list of these.
function described(result, fields) {
  const one = (r, f) => {
    if (!Array.isArray(r)) return short(r);
    // Lengths of table columns only: that of an expression is the cached plan's, which other literals may have made.
    const names = (f || []).map((c) => `${c.name}:${c.columnType ?? c.type}:${c.orgTable ? c.columnLength : ''}:${c.flags}:${c.characterSet}`);
    return `(${names.join(' ')}) ${short(r)}`;
  };
  if (fields && fields.some && fields.some((f) => f === undefined || Array.isArray(f))) {
    return result.map((r, i) => one(r, fields[i])).join(' | ');
  }
  return one(result, fields);
}

// The server reports variables of its own in its own time (versions of the schema, settings of the instance).
function tidy(result) {
  for (const r of [result].flat()) {
    const variables = r?.stateChanges?.systemVariables ?? {};
    for (const name of Object.keys(variables)) if (/^_|^ob_(last|enable)/.test(name)) delete variables[name];
  }
  return result;
}

const failed = (e) => `${e.code} ${e.errno} ${e.sqlState} ${e.sqlMessage ?? e.message}`;
// A callback call as a promise that never rejects: [error, ...values].
const call = (start) => new Promise((done) => start((...values) => done(values)));

async function open(more = {}) {
  const c = mysql.createConnection({
    host, port: Number(port), user, password, database: 'test', dateStrings: true, supportBigNumbers: true,
    bigNumberStrings: true, charset: 'utf8mb4_general_ci', infileStreamFactory: () => Readable.from([Buffer.from('none')]), ...more,
  });
  // An error that no call takes, for instance the end of the connection after a refused login.
  c.on('error', () => {});
  const [error] = await call((cb) => c.connect(cb));
  if (error) throw error;
  return c;
}
async function text(c, sql, args, label = sql) {
  const [error, result, fields] = await call((cb) => c.query(sql, args, cb));
  print(`${label}: ${error ? failed(error) : described(tidy(result), fields)}`);
}
async function binary(c, sql, args = [], label = sql) {
  const [error, result, fields] = await call((cb) => c.execute(sql, args, cb));
  print(`execute ${label}: ${error ? failed(error) : described(tidy(result), fields)}`);
}

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const odd = 'Größe 数据 🦀 \'quoted\' \\ "x" \n\t\0 end';

async function logins() {
  print('## logins');
  for (const [label, more] of Object.entries({
    'no database': { database: undefined }, database: {}, 'wrong password': { password: 'not it' },
    'wrong user': { user: 'nobody' + tenant }, 'unknown database': { database: 'no_such_db' },
    'found rows off': { flags: ['-FOUND_ROWS'] }, compress: { compress: true }, latin1: { charset: 'latin1_swedish_ci' },
    attributes: { connectAttributes: { program_name: 'x'.repeat(500) } },
  })) {
    try {
      const c = await open(more);
      await text(c, 'select database(), current_user(), @@collation_connection', undefined, label);
      c.destroy();
    } catch (e) {
      print(`${label}: ${e.code} ${e.errno} ${e.sqlState}`);
    }
  }
}

async function statements(c) {
  print('## statements, text');
  for (const sql of [
    `create table ${p}_a(id bigint auto_increment primary key, v varchar(10), n tinyint, unique key(v))`,
    `insert into ${p}_a(v,n) values('a',1),('b',2),('c',3)`,
    `insert into ${p}_a(v,n) values('a',9) on duplicate key update n=n+10`, `update ${p}_a set n=n`,
    `update ${p}_a set n=5 where id<3`, `insert into ${p}_a(v) values('b')`, `insert into ${p}_a(n) values(1000)`,
    "select cast('12x' as signed)", 'show warnings', `drop table if exists ${p}_none`, 'selec 1', 'select * from no_such_table',
    `select * from ${p}_a order by id`, 'begin', `insert into ${p}_a(v) values('t')`, 'savepoint s', 'rollback to s', 'rollback',
    'set @u=1, @v="x"', 'select @u, @v, @none', 'use oceanbase', 'select database()', 'use test', '', '-- nothing',
    "select 1, 1.50, 'x', null, date'2020-01-01', x'00ff', 1e0, now()>0",
  ]) await text(c, sql);
  const m = await open({ multipleStatements: true });
  for (const sql of ["select 1; select 2, 3; do 0; select 'x'", 'select 1; selec 2; select 3',
    `insert into ${p}_a(v) values('m1'),('m2'); update ${p}_a set n=1 where v='m1'`, "select 'alive'"]) await text(m, sql);
  m.destroy();
  await text(c, `create procedure ${p}_two(in a int) begin select a; select a+1, 'x'; end`);
  await text(c, `call ${p}_two(5)`);
  await binary(c, `call ${p}_two(?)`, [6]);
  await text(c, "select 'alive'");
  await text(c, { sql: 'select 1 as a, 2 as a', rowsAsArray: true }, undefined, 'rows as arrays');
  for (const step of ['beginTransaction', 'rollback', 'commit', 'ping']) {
    const [error] = await call((cb) => c[step](cb));
    print(step, error ? failed(error) : 'ok');
  }
}

async function types(c) {
  print('## types');
  await text(c, `create table ${p}_types(id int primary key, i8 tinyint, u64 bigint unsigned, i64 bigint, d decimal(30,10), f float,
    g double, dt date, tm time(6), ts datetime(6), y year, b bit(20), vb varbinary(300), lb longblob, t longtext, e enum('a','b'),
    s set('x','y'), j json)`, undefined, 'create');
  const rows = [
    [1, -128, '18446744073709551615', '-9223372036854775808', '12345678901234567890.0123456789', 1.5, 1e300, '2024-02-29',
      '-838:59:59.000000', '9999-12-31 23:59:59.999999', 2155, Buffer.from('0fffff', 'hex'), everyByte,
      Buffer.concat(Array(300).fill(everyByte)), odd, 'b', 'x,y', '{"a": [1, null, "ä"]}'],
    [2, ...Array(17).fill(null)],
    [3, 0, 0, 0, 0, 0, 0, '1000-01-01', '00:00:00', '1000-01-01', 1901, Buffer.alloc(1), Buffer.alloc(0), Buffer.alloc(0), '', 'a',
      '', '[]'],
  ];
  const insert = `insert into ${p}_types values(${Array(18).fill('?')})`;
  for (const row of rows) await text(c, insert, row, `insert ${row[0]}`);
  await text(c, `select * from ${p}_types order by id`);
  await binary(c, `select * from ${p}_types where id>=? order by id`, [0]);
  await text(c, `delete from ${p}_types`);
  for (const row of rows) await binary(c, insert, row, `insert ${row[0]}`);
  await text(c, `select * from ${p}_types order by id`);
  await binary(c, `select lb=? as b, t=? as t from ${p}_types where id=?`, [rows[0][13], odd, 1], 'equal');
}

async function prepared(c) {
  print('## prepared');
  for (const v of [1, null, 'text', 2.5, Buffer.from([0, 255]), true, 1]) await binary(c, 'select ? as p', [v], `echo ${short(v)}`);
  await binary(c, 'select ?, ?, ?', [null, null, null]);
  await binary(c, "select 1, 'x'");
  await binary(c, 'selec ?', [1]);
  await binary(c, 'select * from no_such_table where a=?', [1]);
  await binary(c, `insert into ${p}_a(v) values(?)`, ['b']);
  await binary(c, `insert into ${p}_a(v) values(?)`, ['p1']);
  await binary(c, `update ${p}_a set n=? where v=?`, [7, 'p1']);
  const [error, statement] = await call((cb) => c.prepare(`select id, v from ${p}_a where v<>? order by v`, cb));
  if (error) return print(failed(error));
  for (const v of ['a', 'b', null]) {
    const [e, r] = await call((cb) => statement.execute([v], cb));
    print('statement', short(v), e ? failed(e) : short(r.map((x) => x.v)));
  }
  statement.close();
  let sum = 0; // more statements than the server keeps open for one session; the driver's cache closes the oldest
  const many = await open({ maxPreparedStatements: 20 });
  for (let i = 0; i < 60; i++) sum += Number((await call((cb) => many.execute(`select ?+${i} as s`, [i], cb)))[1]?.[0]?.s);
  print('sum', sum);
  many.destroy();
  await text(c, "select 'alive'");
}

async function late(c) {
  print('## an error in the middle of the rows');
  await text(c, `create table ${p}_sq(n int primary key)`);
  await text(c, `insert into ${p}_sq values(1),(2),(3),(4),(5),(6),(7),(8),(9),(10)`);
  const sql = `select a.n+b.n*10+d.n*100, repeat('z',2000), 9223372036854775797+if(a.n+b.n*10+d.n*100=1110,11,0)
    from ${p}_sq a, ${p}_sq b, ${p}_sq d order by 1 limit 1000`;
  for (const how of ['query', 'execute']) {
    let count = 0;
    const end = await new Promise((done) => {
      c[how](sql).on('result', () => { count += 1; }).on('error', (e) => done(failed(e))).on('end', () => done('end'));
    });
    print(how, count, 'rows, then', end);
    await text(c, "select 'alive'");
  }
}

async function commands(c) {
  print('## commands');
  await text(c, 'set @u=9');
  const reset = await call((cb) => c.reset(cb));
  print('reset', reset[0] ? failed(reset[0]) : 'ok');
  await text(c, 'select @u, database(), @@autocommit');
  // Both with a password: the driver takes an empty one as "the same as before".
  const other = (n) => ({ user: `${p}_${n}${tenant}`, password: `pw of ${n}` });
  for (const n of ['u', 'v']) {
    for (const sql of [`drop user if exists ${p}_${n}`, `create user ${p}_${n} identified by 'pw of ${n}'`,
      `grant select on ${n === 'u' ? 'test' : '*'}.* to ${p}_${n}`]) await text(c, sql);
  }
  const u = await open();
  await text(u, 'set @u=9');
  for (const [label, to] of Object.entries({
    'change user': { ...other('u'), database: 'test' }, 'change again': { ...other('v'), database: 'oceanbase' },
    'change database': { ...other('v'), database: 'test' }, 'wrong password': { ...other('u'), password: 'wrong' },
  })) {
    const [error] = await call((cb) => u.changeUser(to, cb));
    print(label, error ? `${error.code} ${error.errno} ${error.sqlState}` : 'ok');
    if (error) continue;
    await text(u, 'select current_user(), database(), @u');
    await text(u, `delete from test.${p}_a`);
  }
  u.destroy();
  for (const n of ['u', 'v']) await text(c, `drop user ${p}_${n}`);
  print('## many calls without waiting');
  const queue = await open();
  print((await Promise.all(Array.from({ length: 50 }, (_, i) => call((cb) => (i % 2
    ? queue.query(`select ${i} as i`, cb) : queue.execute('select ? as i', [i], cb))))))
    .map(([e, r]) => (e ? failed(e) : r[0].i)).join(' '));
  queue.destroy();
}

async function big(c) {
  print('## large');
  await text(c, 'set global max_allowed_packet=67108864');
  try {
    const w = await open();
    await text(w, 'set ob_query_timeout=100000000');
    await text(w, `create table ${p}_big(id int primary key, b longblob)`);
    const blob = Buffer.concat(Array(70000).fill(everyByte));
    await text(w, `insert into ${p}_big values(1, ?)`, [blob]);
    await binary(w, `insert into ${p}_big values(2, ?)`, [blob]);
    await text(w, `select * from ${p}_big order by id`);
    await binary(w, `select * from ${p}_big where id>? order by id`, [0]);
    await text(w, "select repeat('0123456789abcdef', 2097159) as r, 'after'");
    await text(w, "select 'alive'");
    w.destroy();
  } finally {
    await text(c, 'set global max_allowed_packet=16777216');
  }
  await text(c, `create table ${p}_k(id int primary key, v varchar(300))`);
  await text(c, `insert into ${p}_k values ?`, [Array.from({ length: 1000 }, (_, i) => [i, `row ${i} `.repeat(i % 30)])], '1000 rows');
  for (const how of ['query', 'execute']) {
    const [error, rows] = await call((cb) => c[how](
      `select a.id, b.v from ${p}_k a, ${p}_k b where a.id<30 order by a.id, b.id`, cb));
    print(how, error ? failed(error) : `${rows.length} rows sha1 ${sha1(JSON.stringify(rows))}`);
  }
  const hash = createHash('sha1'); // read with pauses: the server has to wait for the reader
  let seen = 0;
  for await (const row of c.query(`select a.id, b.v from ${p}_k a, ${p}_k b where a.id<30 order by a.id, b.id`).stream()) {
    hash.update(JSON.stringify(row));
    if (++seen % 1000 === 0) await new Promise(setImmediate);
  }
  print('stream', seen, hash.digest('hex'));
  print('## load data local');
  await text(c, `create table ${p}_ld(a int primary key, b varchar(40))`);
  const lines = Array.from({ length: 20000 }, (_, i) => Buffer.from(`${i},value ${i}\n`));
  for (const [table, from] of [['ld', lines], ['none', lines], ['ld', []]]) {
    await text(c, {
      sql: `load data local infile 'x' into table ${p}_${table} fields terminated by ','`, infileStreamFactory: () => Readable.from(from),
    }, undefined, `load ${from.length} into ${table}`);
  }
  await text(c, `select count(*), sum(a) from ${p}_ld`);
  await text(c, "select 'alive'");
}

async function drop(c) {
  for (const t of ['a', 'types', 'sq', 'big', 'k', 'ld']) await call((cb) => c.query(`drop table if exists ${p}_${t}`, cb));
  await call((cb) => c.query(`drop procedure if exists ${p}_two`, cb));
}

(async () => {
  const c = await open();
  await drop(c);
  await logins();
  for (const part of [statements, types, prepared, late, commands, big, drop]) await part(c);
  await call((cb) => c.end(cb));
})().catch((e) => { console.error(e); process.exit(1); });
