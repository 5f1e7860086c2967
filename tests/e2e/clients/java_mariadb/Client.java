import java.io.ByteArrayInputStream;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.sql.*;
import java.util.Arrays;
import java.util.Properties;

/** Exercises a server with MariaDB Connector/J and prints what came back. Arguments: host port user password. */
public class Client {
  static final String P = "c_java";
  static PrintStream out;
  static String host, port, user, password, tenant, options;

  interface Step { void run() throws Exception; }

  static String sha1(byte[] data) throws Exception {
    return String.format("%040x", new BigInteger(1, MessageDigest.getInstance("SHA-1").digest(data)));
  }

  /** A value as text; a long one by length and SHA-1. */
  static String text(Object v) throws Exception {
    if (v instanceof byte[]) {
      byte[] b = (byte[]) v;
      return b.length > 40 ? "bytes of " + b.length + " sha1 " + sha1(b) : "0x" + String.format("%x", new BigInteger(1, b));
    }
    if (v instanceof Blob) return text(((Blob) v).getBytes(1, (int) ((Blob) v).length()));
    String s = String.valueOf(v);
    return s.length() > 100 ? "text of " + s.length() + " sha1 " + sha1(s.getBytes(StandardCharsets.UTF_8)) : s;
  }

  static String failed(Throwable t) {
    if (!(t instanceof SQLException)) return t.toString();
    SQLException e = (SQLException) t;
    // The driver puts its connection id in front and may add the statement behind.
    String message = String.valueOf(e.getMessage()).replaceFirst("^\\(conn=-?\\d+\\) ", "").split("\n")[0];
    return e.getClass().getSimpleName() + " " + e.getErrorCode() + " " + e.getSQLState() + " " + message;
  }

  static void show(String label, Step step) {
    out.print(label + ": ");
    try { step.run(); } catch (Throwable t) { out.print(failed(t)); }
    out.println();
  }

  static String rows(ResultSet r) throws Exception {
    ResultSetMetaData m = r.getMetaData();
    StringBuilder s = new StringBuilder("[");
    for (int i = 1; i <= m.getColumnCount(); i++) {
      // Lengths of table columns only: that of an expression is the cached plan's, which other literals may have made.
      s.append(i > 1 ? "," : "").append(m.getColumnLabel(i)).append(':').append(m.getColumnTypeName(i)).append(':')
          .append(m.getTableName(i).isEmpty() ? "" : m.getPrecision(i) + "." + m.getScale(i)).append(':').append(m.isNullable(i));
    }
    s.append("]");
    MessageDigest digest = MessageDigest.getInstance("SHA-1");
    int count = 0, head = s.length();
    while (r.next()) {
      StringBuilder row = new StringBuilder(" (");
      for (int i = 1; i <= m.getColumnCount(); i++) row.append(i > 1 ? ", " : "").append(text(r.getObject(i)));
      digest.update(row.append(")").toString().getBytes(StandardCharsets.UTF_8));
      if (++count <= 20) s.append(row);
    }
    if (count > 20) s.replace(head, s.length(), " " + count + " rows sha1 " + String.format("%040x", new BigInteger(1, digest.digest())));
    return s.toString();
  }

  /** Every result of a statement that was executed. */
  static void results(Statement s, boolean isRows) throws Exception {
    while (true) {
      if (isRows) try (ResultSet r = s.getResultSet()) { out.print(rows(r)); }
      else if (s.getUpdateCount() >= 0) {
        out.print("ok rows=" + s.getUpdateCount());
        try (ResultSet keys = s.getGeneratedKeys()) { out.print(" keys=" + rows(keys).replaceFirst("^[^ ]* ?", "")); } catch (SQLException none) { }
      } else break;
      for (SQLWarning w = s.getWarnings(); w != null; w = w.getNextWarning()) out.print(" warning " + w.getErrorCode() + " " + w.getMessage());
      isRows = s.getMoreResults();
      if (isRows || s.getUpdateCount() >= 0) out.print(" | ");
    }
  }

  static void run(Connection c, String sql) {
    show(sql, () -> { try (Statement s = c.createStatement()) { results(s, s.execute(sql, Statement.RETURN_GENERATED_KEYS)); } });
  }

  static void run(Connection c, String label, String sql, Object... args) {
    show(label, () -> {
      try (PreparedStatement s = c.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS)) {
        for (int i = 0; i < args.length; i++) s.setObject(i + 1, args[i]);
        results(s, s.execute());
      }
    });
  }

  static Connection open(String database, String more, String user, String password) throws SQLException {
    Properties p = new Properties();
    p.setProperty("user", user);
    p.setProperty("password", password);
    return DriverManager.getConnection("jdbc:mariadb://" + host + ":" + port + "/" + database + "?allowMultiQueries=true"
        + "&maxAllowedPacket=67108864&allowLocalInfile=true" + options + more, p);
  }

  static Connection open() throws SQLException { return open("test", "", user, password); }

  static void logins() {
    out.println("## logins");
    String[][] cases = { {"database", "test", "", user, password}, {"no database", "", "", user, password},
        {"wrong password", "test", "", user, "not it"}, {"wrong user", "test", "", "nobody" + tenant, password},
        {"unknown database", "no_such_db", "", user, password}, {"compression", "test", "&useCompression=true", user, password},
        {"attributes", "test", "&connectionAttributes=a:" + "b".repeat(300), user, password}, {"changed rows", "test", "&useAffectedRows=true", user, password},
        {"variables", "test", "&sessionVariables=sql_mode='ANSI_QUOTES',wait_timeout=777", user, password} };
    for (String[] l : cases) {
      out.print(l[0] + ": ");
      try (Connection c = open(l[1], l[2], l[3], l[4]); Statement s = c.createStatement()) {
        results(s, s.execute("select database(), current_user(), @@sql_mode, @@wait_timeout"));
        out.println();
      } catch (SQLException e) { out.println(e.getErrorCode() + " " + e.getSQLState()); }
      catch (Exception e) { out.println(e); }
    }
  }

  static void statements(Connection c) throws Exception {
    out.println("## statements");
    for (String sql : new String[] {
        "create table " + P + "_a(id bigint auto_increment primary key, v varchar(20), n tinyint, unique key(v))",
        "insert into " + P + "_a(v,n) values('a',1),('b',2),('c',3)",
        "insert into " + P + "_a(v,n) values('a',9) on duplicate key update n=n+10", "update " + P + "_a set n=n",
        "update " + P + "_a set n=5 where id<3", "insert into " + P + "_a(v) values('b')", "insert into " + P + "_a(n) values(1000)",
        "select cast('12x' as signed)", "drop table if exists " + P + "_none", "selec 1", "select * from no_such_table",
        "select * from " + P + "_a order by id", "begin", "insert into " + P + "_a(v) values('t')", "rollback",
        "set @u=1, @v='x'", "select @u, @v, @none", "use oceanbase", "select database()", "use test",
        "select 1, 1.50, 'x', null, date'2020-01-01', x'00ff', 1e0, now()>0", "select 1; select 2, 3; do 0; select 'x'",
        "select 1; selec 2; select 3", "select 1 as alive",
        "create procedure " + P + "_two(in a int, out b int) begin select a; set b=a+1; select a+1, 'x'; end" }) run(c, sql);
    show("call", () -> {
      try (CallableStatement s = c.prepareCall("{call " + P + "_two(?, ?)}")) {
        s.setInt(1, 5);
        s.registerOutParameter(2, Types.INTEGER);
        results(s, s.execute());
        out.print(" out=" + s.getInt(2));
      }
    });
    run(c, "select 1 as alive");
    out.println("## the driver's own commands");
    Connection t = open();
    show("transaction", () -> {
      t.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
      t.setAutoCommit(false);
      run(t, "insert", "insert into " + P + "_a(v) values(?)", "z");
      Savepoint s = t.setSavepoint("one");
      run(t, "insert", "insert into " + P + "_a(v) values(?)", "y");
      t.rollback(s);
      t.commit();
      run(t, "insert", "insert into " + P + "_a(v) values(?)", "w");
      t.rollback();
      t.setAutoCommit(true);
      t.setReadOnly(true);
      t.setReadOnly(false);
    });
    run(t, "select v from " + P + "_a order by v");
    show("catalog", () -> { t.setCatalog("oceanbase"); out.print(t.getCatalog()); });
    show("catalog unknown", () -> t.setCatalog("no_such_db"));
    show("valid", () -> out.print(t.isValid(5)));
    show("columns", () -> out.print(rows(t.getMetaData().getColumns("test", null, P + "_a", null)).length() > 0));
    show("keys", () -> out.print(rows(t.getMetaData().getPrimaryKeys("test", null, P + "_a"))));
    t.close();
    show("batch", () -> {
      try (PreparedStatement s = c.prepareStatement("insert into " + P + "_a(v,n) values(?,?)")) {
        for (int i = 0; i < 50; i++) { s.setString(1, "b" + i); if (i % 3 == 0) s.setNull(2, Types.INTEGER); else s.setInt(2, i); s.addBatch(); }
        out.print(Arrays.stream(s.executeBatch()).sum());
      }
    });
    show("batch with an error", () -> {
      try (PreparedStatement s = c.prepareStatement("insert into " + P + "_a(v) values(?)")) {
        for (String v : new String[] {"e1", "b", "e2"}) { s.setString(1, v); s.addBatch(); }
        s.executeBatch();
      }
    });
    show("batch of texts", () -> {
      try (Statement s = c.createStatement()) {
        for (int i = 0; i < 5; i++) s.addBatch("update " + P + "_a set n=" + i + " where v='b" + i + "'");
        out.print(Arrays.toString(s.executeBatch()));
      }
    });
    run(c, "select count(*), sum(n) from " + P + "_a");
  }

  static void types(Connection c) throws Exception {
    out.println("## types");
    run(c, "create", "create table " + P + "_types(id int primary key, i8 tinyint, u64 bigint unsigned, i64 bigint, d decimal(30,10), f float,"
        + " g double, dt date, tm time, ts datetime(6), y smallint, b bit(20), vb varbinary(300), lb longblob, t longtext, e enum('a','b'),"
        + " s set('x','y'), j json)");
    byte[] all = new byte[256];
    for (int i = 0; i < 256; i++) all[i] = (byte) i;
    byte[] big = new byte[256 * 300];
    for (int i = 0; i < big.length; i++) big[i] = (byte) i;
    String odd = "Größe 数据 🦀 'quoted' \\ \"x\" \n\t\0 end";
    Object[][] rows = {
        {1, -128, new BigDecimal("18446744073709551615"), Long.MIN_VALUE, new BigDecimal("12345678901234567890.0123456789"), 1.5f, 1e300,
            Date.valueOf("2024-02-29"), Time.valueOf("23:59:59"), Timestamp.valueOf("9999-12-31 23:59:59.999999"), 2155, new byte[] {15, -1, -1},
            all, big, odd, "b", "x,y", "{\"a\": [1, null, \"ä\"]}"},
        new Object[18],
        {3, 0, 0, 0L, BigDecimal.ZERO, 0f, -0.0, Date.valueOf("1970-01-01"), Time.valueOf("00:00:00"), Timestamp.valueOf("1970-01-01 00:00:00"), 1901,
            new byte[1], new byte[0], new byte[0], "", "a", "", "[]"} };
    rows[1][0] = 2;
    for (Object[] row : rows) run(c, "insert " + row[0], "insert into " + P + "_types values(?" + ",?".repeat(17) + ")", row);
    run(c, "select * from " + P + "_types order by id");
    run(c, "read", "select * from " + P + "_types where id>? order by id", 0);
    run(c, "equal", "select lb=? as b, t=? as t from " + P + "_types where id=?", big, odd, 1);
    show("as a stream", () -> {
      try (PreparedStatement s = c.prepareStatement("update " + P + "_types set lb=?, t=? where id=?")) {
        s.setBinaryStream(1, new ByteArrayInputStream(big), big.length);
        s.setCharacterStream(2, new java.io.StringReader(odd.repeat(100)));
        s.setInt(3, 2);
        out.print(s.executeUpdate());
      }
    });
    run(c, "read", "select lb, t from " + P + "_types where id=?", 2);
    out.println("## arguments");
    for (Object v : new Object[] {1, null, "text", 2.5, new byte[] {0, -1}, true, new BigDecimal("1.50"), Timestamp.valueOf("2020-01-02 03:04:05.000006")})
      run(c, "echo " + text(v), "select ? as p", v);
    run(c, "only nulls", "select ?, ?, ?", null, null, null);
    run(c, "bad", "selec ?", 1);
    run(c, "no table", "select * from no_such_table where a=?", 1);
    run(c, "duplicate", "insert into " + P + "_a(v) values(?)", "b");
    show("again and again", () -> {
      try (PreparedStatement s = c.prepareStatement("select v from " + P + "_a where v>? order by v limit 2")) {
        for (String v : new String[] {"a", "b", null, "a"}) { s.setString(1, v); try (ResultSet r = s.executeQuery()) { out.print(rows(r) + " "); } }
      }
    });
    show("many statements", () -> {
      int sum = 0; // more than the server keeps open for one session
      for (int i = 0; i < 60; i++) try (PreparedStatement s = c.prepareStatement("select ?+" + i)) {
        s.setInt(1, i);
        try (ResultSet r = s.executeQuery()) { r.next(); sum += r.getInt(1); }
      }
      out.print(sum);
    });
  }

  static void large(Connection c) throws Exception {
    out.println("## an error in the middle of the rows");
    run(c, "create table " + P + "_sq(n int primary key)");
    run(c, "insert into " + P + "_sq values(1),(2),(3),(4),(5),(6),(7),(8),(9),(10)");
    String late = "select a.n+b.n*10+d.n*100, repeat('z',2000), 9223372036854775797+if(a.n+b.n*10+d.n*100=1110,11,0) from " + P + "_sq a, "
        + P + "_sq b, " + P + "_sq d where 1<>? order by 1 limit 1000";
    for (int fetch : new int[] {0, 10}) {
      int[] count = {0};
      show("fetch size " + fetch, () -> {
        try (PreparedStatement s = c.prepareStatement(late)) {
          s.setInt(1, 2);
          s.setFetchSize(fetch);
          try (ResultSet r = s.executeQuery()) { while (r.next()) count[0]++; }
        }
      });
      out.println("rows before: " + count[0]);
      run(c, "select 1 as alive");
    }
    out.println("## large");
    run(c, "set global max_allowed_packet=67108864");
    byte[] blob = new byte[17920000];
    for (int i = 0; i < blob.length; i++) blob[i] = (byte) i;
    try (Connection w = open()) {
      run(w, "set ob_query_timeout=100000000");
      run(w, "create table " + P + "_big(id int primary key, b longblob)");
      run(w, "insert", "insert into " + P + "_big values(?, ?)", 1, blob);
      run(w, "read", "select * from " + P + "_big where id=?", 1);
      run(w, "34 MB", "select repeat('0123456789abcdef', 2097159) as r, ?", "after");
      run(w, "select 1 as alive");
    }
    run(c, "set global max_allowed_packet=16777216");
    run(c, "create table " + P + "_k(id int primary key, v varchar(300))");
    StringBuilder values = new StringBuilder("insert into " + P + "_k values");
    for (int i = 0; i < 1000; i++) values.append(i > 0 ? "," : "").append("(" + i + ",'" + ("row " + i + " ").repeat(i % 30) + "')");
    show("1000 rows", () -> { try (Statement s = c.createStatement()) { out.print(s.executeUpdate(values.toString())); } });
    for (int fetch : new int[] {0, 1, 1000}) show("fetch size " + fetch, () -> {
      try (PreparedStatement s = c.prepareStatement("select a.id, b.v from " + P + "_k a, " + P + "_k b where a.id<? order by a.id, b.id")) {
        s.setInt(1, fetch == 1 ? 3 : 30);
        s.setFetchSize(fetch);
        try (ResultSet r = s.executeQuery()) { out.print(rows(r)); }
      }
    });
    show("closed half read", () -> {
      try (Statement s = c.createStatement()) {
        s.setFetchSize(10);
        ResultSet r = s.executeQuery("select * from " + P + "_k order by id");
        for (int i = 0; i < 25; i++) r.next();
        out.print(r.getInt(1));
      }
    });
    run(c, "select 1 as alive");
    out.println("## load data local");
    run(c, "create table " + P + "_ld(a int primary key, b varchar(40))");
    Path file = Files.createTempFile("rows", ".csv");
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < 20000; i++) lines.append(i + ",value " + i + "\n");
    Files.writeString(file, lines);
    for (String table : new String[] {"ld", "none"}) show("load into " + table, () -> {
      try (Statement s = c.createStatement()) {
        out.print(s.executeUpdate("load data local infile '" + file + "' into table " + P + "_" + table + " fields terminated by ','"));
      }
    });
    Files.delete(file);
    run(c, "select count(*), sum(a) from " + P + "_ld");
  }

  static void drop(Connection c) throws SQLException {
    try (Statement s = c.createStatement()) {
      for (String t : new String[] {"a", "types", "sq", "big", "k", "ld"}) s.execute("drop table if exists " + P + "_" + t);
      s.execute("drop procedure if exists " + P + "_two");
    }
  }

  public static void main(String[] args) throws Exception {
    out = new PrintStream(System.out, true, "UTF-8");
    host = args[0]; port = args[1]; user = args[2]; password = args[3];
    tenant = user.contains("@") ? user.substring(user.indexOf('@')) : "";
    // The last one bundles updates of a batch into one text of many statements.
    for (String round : new String[] {"", "&useServerPrepStmts=true", "&rewriteBatchedStatements=true"}) {
      out.println("# options: " + round);
      options = round;
      try (Connection c = open()) {
        drop(c);
        logins();
        statements(c);
        types(c);
        large(c);
        drop(c);
      }
    }
  }
}
