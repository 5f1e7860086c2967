//! The documents.

use super::{Config, ConfigMode};
use crate::state::{LogStream, SYS_LS, State};
use serde_json::{Value, json};

/// A root server.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Root {
    address: String,
    sql_port: u16,
    is_leader: bool,
}

/// A cluster that is named.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Named {
    name: String,
    id: u64,
    roots: Vec<Root>,
    regions: Vec<(String, String)>,
}

/// A question: the query of a URL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Question {
    pub(super) action: String,
    cluster: String,
    is_version_2: bool,
    is_version_only: bool,
}

impl Question {
    /// Reads what stands behind the question mark.
    pub(super) fn parse(query: &str) -> Self {
        let mut question = Self::default();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "Action" => question.action = value.into(),
                "ObCluster" | "ObRegion" => question.cluster = value.into(),
                "version" => question.is_version_2 = value == "2",
                "VersionOnly" => question.is_version_only = value == "true",
                _ => {}
            }
        }
        question
    }
}

/// What a document is made from.
pub(super) struct Source<'a> {
    pub(super) state: &'a State,
    pub(super) config: &'a Config,
    /// Mode for this question.
    pub(super) mode: ConfigMode,
    /// Host and port as the client wrote them, for addresses inside documents.
    pub(super) host: &'a str,
    /// Counts questions, for another order each time.
    pub(super) turn: u64,
}

impl Source<'_> {
    /// Status and document.
    pub(super) fn answer(&self, question: &Question) -> (u16, Value) {
        let found = match question.action.as_str() {
            "GetObProxyConfig" => Ok(self.clusters(question, false)),
            "GetObRootServiceInfoUrlTemplate" => Ok(self.clusters(question, true)),
            "ObRootServiceInfo" => self.roots(question),
            "ObIDCRegionInfo" => self.regions(question),
            other => Err((400, format!("no action {other}"))),
        };
        let is_wrong = self.mode == ConfigMode::WrongMessage;
        let (status, message, data) = match found {
            Ok(data) if is_wrong => (200, "something is wrong".to_owned(), data),
            Ok(data) => (200, "successful".to_owned(), data),
            Err((status, text)) => (status, text, Value::Null),
        };
        let document = json!({
            "Code": status,
            "Message": message,
            "Success": status == 200 && !is_wrong,
            "Data": data,
            "Trace": format!("{:016x}", self.turn),
            "Server": self.host,
            "Cost": 1,
        });
        (status, document)
    }

    fn named(&self) -> Vec<Named> {
        let own = Named {
            name: self.state.name.clone(),
            id: 1,
            roots: self.own_roots(),
            regions: self.own_regions(),
        };
        let mut all = if self.config.without_own {
            vec![]
        } else {
            vec![own]
        };
        all.extend(self.config.clusters.iter().map(|c| Named {
            name: c.name.clone(),
            id: c.id,
            roots: root_list(c),
            regions: vec![],
        }));
        if self.mode == ConfigMode::Shuffle && !all.is_empty() {
            let by = self.turn as usize % all.len();
            all.rotate_left(by);
        }
        all
    }

    /// The root servers: replicas of the log stream of `sys`.
    fn own_roots(&self) -> Vec<Root> {
        let sys = self.state.tenants.first();
        let stream = sys.and_then(|t| t.stream(SYS_LS));
        let leader = stream.and_then(LogStream::leader);
        let replicas = stream.map_or(&[][..], |s| &s.replicas);
        let servers = replicas.iter().filter_map(|id| self.state.server(*id));
        servers
            .map(|s| Root {
                address: format!("{}:{}", s.address.ip(), s.rpc_port),
                sql_port: s.address.port(),
                is_leader: Some(s.id) == leader,
            })
            .collect()
    }

    fn own_regions(&self) -> Vec<(String, String)> {
        let zones = self.state.zones.iter();
        zones.map(|z| (z.idc.clone(), z.region.clone())).collect()
    }

    fn url(&self, name: &str) -> String {
        format!(
            "http://{}/services?Action=ObRootServiceInfo&ObCluster={name}",
            self.host
        )
    }

    /// The clusters, each with its address, or their names and a pattern of addresses.
    fn clusters(&self, question: &Question, is_template: bool) -> Value {
        let named = match self.mode {
            ConfigMode::EmptyList => vec![],
            _ => self.named(),
        };
        let list: Vec<Value> = named
            .iter()
            .map(|c| json!({ "ObRegion": c.name, "ObRootServiceInfoUrl": self.url(&c.name) }))
            .collect();
        let version = version(&json!(list).to_string());
        if question.is_version_only {
            return json!({ "Version": version });
        }
        let mut data = json!({
            "Version": version,
            "ObProxyBinUrl": format!("http://{}/client?Action=GetObProxy", self.host),
            "ObProxyDatabaseInfo": {
                "DataBase": "ocp_meta",
                "User": "meta@sys#MetaDataBase",
                "Password": "",
                "MetaDataBase": self.url(&self.state.name),
            },
        });
        if is_template {
            data["ObRootServiceInfoUrlTemplate"] = json!(self.url("${ObRegion}"));
            data["ObRootServiceInfoUrlTemplateV2"] = json!(self.url("${ObCluster}"));
        }
        if self.mode == ConfigMode::MissingField {
            return data;
        }
        if is_template {
            let names: Vec<&str> = named.iter().map(|c| c.name.as_str()).collect();
            data["ObClusterList"] = json!(names);
        } else {
            data["ObRootServiceInfoUrlList"] = json!(list);
        }
        data
    }

    fn asked(&self, question: &Question) -> Result<Named, (u16, String)> {
        let named = self.named();
        let found = named.into_iter().find(|c| c.name == question.cluster);
        found.ok_or_else(|| (404, format!("no cluster {}", question.cluster)))
    }

    fn shown_name<'n>(&self, cluster: &'n Named) -> &'n str {
        match self.mode {
            ConfigMode::OtherCluster => "another",
            _ => &cluster.name,
        }
    }

    fn roots(&self, question: &Question) -> Result<Value, (u16, String)> {
        let cluster = self.asked(question)?;
        let roots = match self.mode {
            ConfigMode::EmptyList => &[][..],
            _ => &cluster.roots,
        };
        let list: Vec<Value> = roots
            .iter()
            .map(|r| {
                let role = if r.is_leader { "LEADER" } else { "FOLLOWER" };
                json!({ "address": r.address, "role": role, "sql_port": r.sql_port })
            })
            .collect();
        let name = self.shown_name(&cluster);
        let mut data = json!({
            "ObCluster": name,
            "ObClusterId": cluster.id,
            "ObRegion": name,
            "ObRegionId": cluster.id,
            "Type": "PRIMARY",
            "timestamp": self.state.servers.first().map_or(0, |s| s.created_us),
            "ReadonlyRsList": [],
        });
        if self.mode != ConfigMode::MissingField {
            data["RsList"] = json!(list);
        }
        Ok(if question.is_version_2 {
            json!([data])
        } else {
            data
        })
    }

    fn regions(&self, question: &Question) -> Result<Value, (u16, String)> {
        let cluster = self.asked(question)?;
        let list: Vec<Value> = cluster
            .regions
            .iter()
            .map(|(idc, region)| json!({ "idc": idc, "region": region }))
            .collect();
        let name = self.shown_name(&cluster);
        let mut data = json!({
            "ObRegion": name, "ObRegionId": cluster.id, "ReadonlyRsList": ""
        });
        if self.mode != ConfigMode::MissingField {
            data["IDCList"] = json!(list);
        }
        Ok(if question.is_version_2 {
            json!([data])
        } else {
            data
        })
    }
}

fn root_list(cluster: &super::OtherCluster) -> Vec<Root> {
    let each = cluster.rs.iter().zip(0..);
    each.map(|(address, n)| Root {
        address: format!(
            "{}:{}",
            address.ip(),
            address
                .port()
                .wrapping_add(crate::topology::RPC_PORT_OFFSET)
        ),
        sql_port: address.port(),
        is_leader: n == 0,
    })
    .collect()
}

/// A version for a content: the same for the same content only (FNV-1a, 64 bits).
fn version(content: &str) -> String {
    let hash = content.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, b| {
        (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OtherCluster;
    use crate::topology::Topology;

    fn ask(mode: ConfigMode, turn: u64, query: &str) -> (u16, Value) {
        let topology = Topology {
            base: "127.0.1.1:2881".parse().unwrap(),
            ..Topology::default()
        };
        let state = State::new(&topology, &[], 0);
        let config = Config {
            clusters: vec![OtherCluster {
                name: "ob2".into(),
                id: 2,
                rs: vec!["127.0.2.1:2881".parse().unwrap()],
            }],
            ..Config::default()
        };
        let source = Source {
            state: &state,
            config: &config,
            mode,
            host: "cs:8080",
            turn,
        };
        source.answer(&Question::parse(query))
    }

    #[test]
    fn documents_have_the_form_of_the_open_server() {
        let (status, all) = ask(ConfigMode::Ok, 0, "Action=GetObProxyConfig");
        assert_eq!((status, &all["Success"]), (200, &json!(true)));
        assert_eq!(all["Message"], "successful");
        let list = &all["Data"]["ObRootServiceInfoUrlList"];
        assert_eq!(list[0]["ObRegion"], "obcluster");
        let url = "http://cs:8080/services?Action=ObRootServiceInfo&ObCluster=ob2";
        assert_eq!(list[1]["ObRootServiceInfoUrl"], url);
        let only = ask(
            ConfigMode::Ok,
            9,
            "Action=GetObProxyConfig&VersionOnly=true",
        )
        .1;
        assert_eq!(only["Data"], json!({ "Version": all["Data"]["Version"] }));
        let question = "Action=ObRootServiceInfo&ObCluster=obcluster&version=2";
        let roots = ask(ConfigMode::Ok, 0, question).1;
        let first = &roots["Data"][0];
        assert_eq!(
            (&first["Type"], &first["ObClusterId"]),
            (&json!("PRIMARY"), &json!(1))
        );
        assert_eq!(
            first["RsList"][0],
            json!({ "address": "127.0.1.1:2882", "role": "LEADER", "sql_port": 2881 })
        );
        assert_eq!(first["RsList"].as_array().unwrap().len(), 3);
        let old = ask(ConfigMode::Ok, 0, "Action=ObRootServiceInfo&ObRegion=ob2").1;
        assert_eq!(old["Data"]["RsList"][0]["address"], "127.0.2.1:2882");
        let idc = ask(
            ConfigMode::Ok,
            0,
            "Action=ObIDCRegionInfo&ObCluster=obcluster",
        )
        .1;
        let want = json!({ "idc": "idc1", "region": "r1" });
        assert_eq!(idc["Data"]["IDCList"][0], want);
        let names = ask(ConfigMode::Ok, 0, "Action=GetObRootServiceInfoUrlTemplate").1;
        assert_eq!(names["Data"]["ObClusterList"], json!(["obcluster", "ob2"]));
        assert_eq!(ask(ConfigMode::Ok, 0, "Action=Dance").0, 400);
        let unknown = ask(ConfigMode::Ok, 0, "Action=ObRootServiceInfo&ObCluster=x");
        assert_eq!((unknown.0, &unknown.1["Success"]), (404, &json!(false)));
    }

    #[test]
    fn modes_change_documents() {
        let config = "Action=GetObProxyConfig";
        let roots = "Action=ObRootServiceInfo&ObCluster=obcluster";
        let of = |mode, query| ask(mode, 1, query).1;
        assert_eq!(of(ConfigMode::WrongMessage, config)["Success"], false);
        let empty = of(ConfigMode::EmptyList, config);
        assert_eq!(empty["Data"]["ObRootServiceInfoUrlList"], json!([]));
        assert_eq!(
            of(ConfigMode::EmptyList, roots)["Data"]["RsList"],
            json!([])
        );
        assert_eq!(
            of(ConfigMode::OtherCluster, roots)["Data"]["ObCluster"],
            "another"
        );
        let missing = of(ConfigMode::MissingField, roots);
        assert!(missing["Data"].get("RsList").is_none());
        let list = |turn| ask(ConfigMode::Shuffle, turn, config).1["Data"].clone();
        let name = |turn| list(turn)["ObRootServiceInfoUrlList"][0]["ObRegion"].clone();
        assert_eq!((name(0), name(1)), (json!("obcluster"), json!("ob2")));
        assert_ne!(list(0)["Version"], list(1)["Version"]);
    }
}
