import java.sql.*;

/** root@proxysys with MariaDB Connector/J. */
public class Admin {
  static String cell(Statement s, String sql, int column) throws SQLException {
    try (ResultSet rows = s.executeQuery(sql)) {
      rows.next();
      return rows.getString(column);
    }
  }

  public static void main(String[] args) throws Exception {
    String url = "jdbc:mariadb://" + args[0] + ":" + args[1] + "/any";
    try (Connection c = DriverManager.getConnection(url, args[2], args[3]); Statement s = c.createStatement()) {
      String before = cell(s, "SHOW PROXYCONFIG LIKE 'drain_timeout'", 2);
      s.executeUpdate("ALTER PROXYCONFIG SET drain_timeout = '31s'");
      String after = cell(s, "show proxyconfig like 'drain_timeout'", 2);
      System.out.println(cell(s, "select proxy_version()", 1) + " " + before + " " + after);
      s.executeUpdate("alter proxyconfig set drain_timeout = '" + before + "'");
      if (!c.isValid(5)) throw new IllegalStateException("not valid");
    }
  }
}
