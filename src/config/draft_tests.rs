use super::*;
use crate::config::Cluster;
use sha1::{Digest, Sha1};

const HOST: Host = Host {
    cpus: 4,
    entropy: 8191,
};

/// A draft with a cluster, so that it can be finished.
fn draft() -> Draft {
    let mut draft = Draft::new();
    draft
        .read_flag("-r", "rootservice_list", "127.0.0.1:2881")
        .unwrap();
    draft
}

fn options(text: &str) -> Result<(Settings, Vec<Notice>), String> {
    let mut draft = draft();
    draft.read_options(text).map_err(|e| e.to_string())?;
    draft.finish(HOST).map_err(|e| e.to_string())
}

fn file(text: &str) -> Result<(Settings, Vec<Notice>), String> {
    let mut draft = Draft::new();
    draft.read_file("a.toml", text).map_err(|e| e.to_string())?;
    draft.finish(HOST).map_err(|e| e.to_string())
}

fn lines(notices: &[Notice]) -> Vec<String> {
    notices
        .iter()
        .map(|n| format!("{} {n}", n.event()))
        .collect()
}

#[test]
fn options_in_all_their_forms() {
    let text = "listen_port=0x1000, APP_NAME = my proxy ,client_login_timeout=3\nlog_file=";
    let (settings, _) = options(text).unwrap();
    assert_eq!(settings.listen_port, 4096);
    assert_eq!(settings.app_name, "my proxy");
    assert_eq!(settings.client_login_timeout.as_secs(), 3);
    assert_eq!(settings.log_file, "");
}

#[test]
fn the_first_equals_sign_splits() {
    assert_eq!(options("app_name=a=b").unwrap().0.app_name, "a=b");
}

#[test]
fn bad_options_name_everything_in_one_line() {
    for (text, line) in [
        (
            "client_login_timeout=5 parsecs",
            "-o: client_login_timeout: \"5 parsecs\" is not a duration (as 100ms, 5s, 1d); \
             allowed: [100ms, 1h]",
        ),
        (
            "Proxy_Id=8192",
            "-o: proxy_id: \"8192\" is out of range; allowed: [0, 8191]",
        ),
        (
            "listen_port=80",
            "-o: listen_port: \"80\" is out of range; allowed: 0 or [1025, 65535]",
        ),
        (
            "observer_sys_password=secret",
            "-o: observer_sys_password: *** has 6 characters; \
             allowed: 40 hexadecimal digits (SHA1), plain:password, or nothing",
        ),
        ("listen_port", "-o: \"listen_port\" is not name=value"),
    ] {
        assert_eq!(options(text).unwrap_err(), line);
    }
}

#[test]
fn unknown_and_idle_names_are_noticed() {
    let text = "no_such_thing=1,enable_bad_route_reject=True,target_db_server=x,proxy_id=7";
    let (_, notices) = options(text).unwrap();
    assert_eq!(
        lines(&notices),
        [
            "setting_unknown name=\"no_such_thing\" source=-o ignored",
            "setting_without_effect name=enable_bad_route_reject source=\"-o\" accepted, \
             no effect in this version",
        ]
    );
    assert_eq!(notices[0].level(), crate::base::Level::Warn);
}

#[test]
fn idle_values_are_kept_by_the_same_rules() {
    let mut draft = draft();
    let stored = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    draft.read_stored(&[
        stored("request_buffer_length", "8KB"),
        stored("enable_bad_route_reject", "False"),
        stored("net_accept_threads", "x"),
    ]);
    draft
        .read_options("Request_Buffer_Length=16KB,enable_sharding=on")
        .unwrap();
    let error = draft.read_options("enable_sharding=maybe").unwrap_err();
    assert_eq!(
        error.to_string(),
        "-o: enable_sharding: \"maybe\" is not a bool; allowed: True, False"
    );
    assert_eq!(draft.given().len(), 3);
    let (settings, notices) = draft.finish(HOST).unwrap();
    let value = |name| settings.idle_value(IdleRow::find(name).unwrap());
    assert_eq!(value("request_buffer_length"), "16KB");
    assert_eq!(value("enable_sharding"), "True");
    assert_eq!(settings.idle.len(), 2, "{:?}", settings.idle);
    assert!(
        lines(&notices)
            .iter()
            .any(|l| l.contains("net_accept_threads: \"x\" is not an integer")),
        "{notices:?}"
    );
}

#[test]
fn a_higher_source_wins_in_any_order_and_the_file_is_told() {
    let one = "[proxy]\nlisten_port = 3000\nproxy_id = 1\nrootservice_list = '127.0.0.1:1'\n";
    let mut up = Draft::new();
    up.read_file("a.toml", one).unwrap();
    up.read_options("listen_port=3001").unwrap();
    up.read_flag("-p", "listen_port", "3002").unwrap();
    let mut down = Draft::new();
    down.read_flag("-p", "listen_port", "3002").unwrap();
    down.read_options("listen_port=3001").unwrap();
    down.read_file("a.toml", one).unwrap();
    let (settings, notices) = up.finish(HOST).unwrap();
    assert_eq!(settings.listen_port, 3002);
    assert_eq!(
        lines(&notices),
        ["setting_overridden name=listen_port file=\"a.toml:2\" by=\"-o\""]
    );
    let (settings, notices) = down.finish(HOST).unwrap();
    assert_eq!(settings.listen_port, 3002);
    assert_eq!(
        lines(&notices),
        ["setting_overridden name=listen_port file=\"a.toml:2\" by=\"-p\""]
    );
}

#[test]
fn a_value_that_does_not_win_is_checked_all_the_same() {
    let mut draft = draft();
    draft.read_flag("-p", "listen_port", "3002").unwrap();
    assert!(draft.read_options("listen_port=x").is_err());
}

#[test]
fn the_environment_wins() {
    let mut draft = draft();
    draft
        .read_options("observer_sys_password=plain:low")
        .unwrap();
    draft
        .read_environment("observer_sys_password", "plain:high")
        .unwrap();
    draft
        .read_environment("observer_sys_password1", "plain:second")
        .unwrap();
    let (settings, _) = draft.finish(HOST).unwrap();
    let hash = |text: &str| -> [u8; 20] { Sha1::digest(text).into() };
    assert_eq!(settings.general_passwords(), [hash("high"), hash("second")]);
}

#[test]
fn automatic_values_come_from_the_host() {
    for (cpus, set, cores, is_pinned) in [
        (1, 0, 1, true),
        (2, 0, 1, true),
        (8, 0, 7, true),
        (2, 4, 4, false),
        (4, 4, 4, true),
    ] {
        let mut draft = draft();
        draft
            .read_options(&format!("work_thread_num={set}"))
            .unwrap();
        let (settings, _) = draft.finish(Host { cpus, entropy: 0 }).unwrap();
        assert_eq!(
            (settings.work_thread_num, settings.is_pinned),
            (cores, is_pinned)
        );
    }
    let (settings, _) = options("cpu_affinity=off").unwrap();
    assert!(!settings.is_pinned);
}

#[test]
fn a_proxy_id_is_drawn_inside_its_range() {
    for (entropy, id) in [
        (0, 1),
        (8190, 8191),
        (8191, 1),
        (u64::MAX, 1 + u64::MAX % 8191),
    ] {
        let (settings, notices) = draft().finish(Host { cpus: 1, entropy }).unwrap();
        assert_eq!(u64::from(settings.proxy_id), id);
        assert_eq!(notices, [Notice::ProxyIdDrawn { id: id as u32 }]);
    }
}

#[test]
fn a_file_in_all_its_forms() {
    let (settings, _) = file(
        "[proxy]\n\
         listen_port = 0\n\
         client_max_connections = 0x10\n\
         cpu_affinity = false\n\
         drain_timeout = 3\n\
         proxy_id = 9\n\
         rootservice_list = ['127.0.0.1:1', '[::1]:2']\n",
    )
    .unwrap();
    assert_eq!(settings.listen_port, 0);
    assert_eq!(settings.client_max_connections, 16);
    assert!(!settings.cpu_affinity);
    assert_eq!(settings.drain_timeout.as_secs(), 3);
    assert_eq!(settings.clusters[0].root_servers.len(), 2);
    assert!(!settings.clusters[0].named);
}

#[test]
fn bad_files_name_file_line_and_key() {
    let cluster = "[[cluster]]\nname = 'c'\nrootservice_list = '127.0.0.1:1'\n";
    for (text, line) in [
        ("listen_port = = 3\n".to_owned(), "a.toml:1: not TOML: "),
        (
            "\n\n[proxy]\nlisten_prot = 1\n".to_owned(),
            "a.toml:4: listen_prot: unknown key; config/reference.md lists all keys",
        ),
        (
            "listen_port = 3000\n".to_owned(),
            "a.toml:1: not TOML: listen_port belongs under [proxy]",
        ),
        (
            "[proxi]\n".to_owned(),
            "a.toml:1: proxi: unknown key; config/reference.md lists all keys",
        ),
        (
            "[proxy]\n# a comment\nproxy_id = 8192\n".to_owned(),
            "a.toml:3: proxy_id: \"8192\" is out of range; allowed: [0, 8191]",
        ),
        (
            "[proxy]\nproxy_id = -1\n".to_owned(),
            "a.toml:2: proxy_id: \"-1\" is not an integer; allowed: [0, 8191]",
        ),
        (
            "[proxy]\nproxy_id = 1.5\n".to_owned(),
            "a.toml:2: proxy_id: a value of type float cannot be used; \
             allowed: text, an integer, true or false, or a list of texts",
        ),
        (
            "[cluster]\nname = 'c'\n".to_owned(),
            "a.toml:1: not TOML: clusters are written as [[cluster]]",
        ),
        (
            "[[cluster]]\nname = 'c'\n".to_owned(),
            "a.toml:1: [[cluster]] has no rootservice_list",
        ),
        (
            format!("{cluster}region = 'x'\n"),
            "a.toml:4: cluster.region: unknown key; config/reference.md lists all keys",
        ),
        (
            format!("{cluster}{cluster}"),
            "a.toml:4: two clusters are called \"c\"",
        ),
        (
            format!("{cluster}observer_sys_password = 'secret'\n"),
            "a.toml:4: cluster.observer_sys_password: *** has 6 characters; \
             allowed: 40 hexadecimal digits (SHA1), plain:password, or nothing",
        ),
    ] {
        let said = file(&text).unwrap_err();
        assert!(
            said.starts_with(line) && !said.contains('\n'),
            "{text}{said}"
        );
    }
}

const TWO: &str = "[proxy]\nproxy_id = 1\n\
    [[cluster]]\nname = 'a'\nrootservice_list = '127.0.0.1:1'\n\
    [[cluster]]\nname = 'b'\nrootservice_list = '127.0.0.1:2'\n\
    observer_sys_password = 'plain:b'\n";

fn clusters(text: &str, options: &str) -> Result<Vec<String>, String> {
    let mut draft = Draft::new();
    draft.read_file("a.toml", text).map_err(|e| e.to_string())?;
    draft.read_options(options).map_err(|e| e.to_string())?;
    let (settings, _) = draft.finish(HOST).map_err(|e| e.to_string())?;
    let show = |c: &Cluster| format!("{} {} {}", c.name, c.root_servers[0].port(), c.named);
    Ok(settings.clusters.iter().map(show).collect())
}

#[test]
fn the_start_up_cluster_and_the_tables() {
    let one = "[[cluster]]\nname = 'a'\nrootservice_list = '127.0.0.1:1'\n";
    let (r, c) = ("rootservice_list=127.0.0.1:9", "rootservice_cluster_name=");
    for (text, options, expected) in [
        ("", r.to_owned(), "undefined 9 false"),
        ("", format!("{r},{c}x"), "x 9 true"),
        ("", format!("{r},{c}undefined"), "undefined 9 true"),
        (one, String::new(), "a 1 true"),
        (one, r.to_owned(), "a 9 true"),
        (one, format!("{r},{c}x"), "x 9 true, a 1 true"),
        (TWO, String::new(), "a 1 true, b 2 true"),
        (TWO, format!("{c}b"), "b 2 true, a 1 true"),
        (TWO, format!("{r},{c}b"), "b 9 true, a 1 true"),
        (TWO, format!("{r},{c}x"), "x 9 true, a 1 true, b 2 true"),
    ] {
        assert_eq!(
            clusters(text, &options).unwrap().join(", "),
            expected,
            "{options}"
        );
    }
    for (text, options, line) in [
        (
            "",
            "app_name=x",
            "no cluster to serve: give its servers with -r 'ip:sqlport;ip:sqlport', \
          or a [[cluster]] in the file of --config",
        ),
        (
            TWO,
            r,
            "-o: root servers are given, but the file has several clusters; \
          say with -c which one they belong to",
        ),
        (
            TWO,
            "rootservice_cluster_name=x",
            "-o: no [[cluster]] is called \"x\"; \
          its root servers can be given with -r",
        ),
    ] {
        assert_eq!(clusters(text, options).unwrap_err(), line);
    }
}

#[test]
fn clusters_are_limited() {
    let table = |i| format!("[[cluster]]\nname = 'c{i}'\nrootservice_list = '127.0.0.1:1'\n");
    let many = |n| (0..n).map(table).collect::<String>();
    assert_eq!(file(&many(255)).unwrap().0.clusters.len(), 255);
    assert_eq!(
        file(&many(256)).unwrap_err(),
        "a.toml:766: more than 255 clusters"
    );
}

#[test]
fn a_cluster_without_a_password_of_its_own_has_the_general_one() {
    let (settings, notices) = file(TWO).unwrap();
    let published = settings.observer_sys_password.unwrap();
    assert_eq!(settings.clusters[0].sys_password_stage1, None);
    assert_eq!(settings.general_passwords(), [published]);
    let own: [u8; 20] = Sha1::digest("b").into();
    assert_eq!(settings.clusters[1].sys_password_stage1, Some(vec![own]));
    // Servers on loopback: the published password needs no warning.
    assert_eq!(notices, []);
}

#[test]
fn the_published_password_is_warned_about_away_from_loopback() {
    let server = "rootservice_list=10.0.0.1:2881,rootservice_cluster_name=far";
    for (more, is_warned) in [
        ("", true),
        (",observer_sys_password=plain:own", false),
        (",observer_sys_password=", false),
    ] {
        let mut draft = Draft::new();
        draft
            .read_options(&format!("proxy_id=1,{server}{more}"))
            .unwrap();
        let (_, notices) = draft.finish(HOST).unwrap();
        let warning = Notice::PublishedPassword {
            cluster: "far".into(),
        };
        assert_eq!(notices.contains(&warning), is_warned, "{more}");
    }
}

#[test]
fn no_password_at_all_is_an_empty_list() {
    let (settings, _) = options("observer_sys_password=").unwrap();
    assert_eq!(settings.general_passwords(), <[[u8; 20]; 0]>::default());
}

#[test]
fn the_samples_can_be_used() {
    let names = ["obring.toml", "bare.toml", "behind-slb.toml"];
    for name in names {
        let path = format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let mut draft = Draft::new();
        draft.read_file(name, &text).unwrap();
        let (settings, _) = draft.finish(HOST).unwrap();
        assert_eq!(settings.clusters[0].name, "obcluster");
        // A commented line is a setting too: with the mark gone it must still be read.
        let full: String = text
            .lines()
            .map(|l| format!("{}\n", uncommented(l)))
            .collect();
        let mut draft = Draft::new();
        draft.read_file(name, &full).unwrap();
        draft.finish(HOST).unwrap();
    }
}

/// `#name = value` without the mark; a sentence begins with `# `.
fn uncommented(line: &str) -> &str {
    match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
        _ => line,
    }
}

#[test]
fn the_commented_sample_has_every_setting_with_its_default() {
    let path = format!("{}/config/obring.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    for row in crate::config::TABLE {
        let is_named = text
            .lines()
            .any(|l| uncommented(l).starts_with(&format!("{} = ", row.name)));
        // A cluster's own settings stand in its table.
        let is_exempt = row.name == "rootservice_cluster_name";
        assert!(is_named || is_exempt, "{} is not in the sample", row.name);
        let commented = format!("#{} = ", row.name);
        for line in text.lines().filter(|l| l.starts_with(&commented)) {
            if row.kind.is_secret() {
                continue;
            }
            let value = line[commented.len()..].trim_matches('"');
            let mut settings = Settings::of_table();
            (row.assign)(&mut settings, value).unwrap();
            assert_eq!(settings, Settings::of_table(), "{line}");
        }
    }
}

#[test]
fn stored_values_win_over_the_file_and_lose_to_the_command_line() {
    let mut draft = Draft::new();
    draft
        .read_file(
            "f.toml",
            "[proxy]\ndrain_timeout = \"1s\"\nclient_login_timeout = \"1s\"\n",
        )
        .unwrap();
    let stored = [
        ("client_login_timeout", "2s"),
        ("drain_timeout", "2s"),
        ("enable_sharding", "True"),
        ("proxy_id", "9999"),
        ("rootservice_list", "127.0.0.1:1"),
    ];
    draft.read_stored(&stored.map(|(name, value)| (name.into(), value.into())));
    draft
        .read_options("drain_timeout=3s,observer_sys_password=plain:secret")
        .unwrap();
    let given = draft.given();
    let hash = "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4";
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        given,
        [
            pair("drain_timeout", "3s"),
            pair("observer_sys_password", hash)
        ]
    );
    let host = Host {
        cpus: 2,
        entropy: 7,
    };
    let (settings, notices) = draft.finish(host).unwrap();
    assert_eq!(settings.client_login_timeout.as_secs(), 2);
    assert_eq!(settings.drain_timeout.as_secs(), 3);
    let said: Vec<_> = notices.iter().map(Notice::event).collect();
    assert!(said.contains(&"setting_stored_unusable"), "{said:?}");
    assert!(said.contains(&"setting_overridden"), "{said:?}");
    assert!(!said.contains(&"setting_without_effect"), "{said:?}");
    let from_store = Notice::FromStore {
        names: vec!["client_login_timeout", "rootservice_list"],
    };
    assert!(notices.contains(&from_store), "{notices:?}");
}
