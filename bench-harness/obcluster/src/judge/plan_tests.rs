//! What the kernel printed (seekdb 1.3.0.post5), in `tests/plans`.

use super::*;

macro_rules! plan {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/plans/", $name, ".txt")).as_slice()
    };
}

/// `name:leaves` of each line, with marks: `*` global index, `>` target, `!` never.
fn shown(plan: &[u8]) -> Option<String> {
    let lines = read(plan)?;
    let each = lines.iter().map(|line| {
        let spots = line.spots.as_ref().map_or_else(
            || "nil".to_owned(),
            |spots| {
                let each = spots.iter().map(|(part, sub)| match sub {
                    Some(sub) => format!("{part}.{sub}"),
                    None => part.to_string(),
                });
                each.collect::<Vec<_>>().join(",")
            },
        );
        let marks = [
            (line.is_global_index, '*'),
            (line.is_target, '>'),
            (line.is_never, '!'),
        ];
        let marks: String = marks.iter().filter(|m| m.0).map(|m| m.1).collect();
        format!("{}:{spots}{marks}", String::from_utf8_lossy(&line.name))
    });
    Some(each.collect::<Vec<_>>().join(" "))
}

#[test]
fn plans_of_the_kernel_are_read() {
    let many: Vec<String> = (0..=390).step_by(3).map(|n: u32| n.to_string()).collect();
    let many = format!("wide:{}", many.join(","));
    for (name, plan, want) in [
        ("get", plan!("get"), "h:3"),
        ("list", plan!("list"), "h:0,1,3"),
        ("insert", plan!("insert"), ":1>"),
        ("nil", plan!("nil"), ":nil>"),
        ("never", plan!("never"), "h:0!"),
        ("constant", plan!("constant"), "h:0!"),
        ("constant_select", plan!("constant_select"), ""),
        ("global", plan!("global"), "a:0* a:0,1,2,3"),
        ("subs", plan!("subs"), "r2:1.1"),
        ("literal", plan!("literal"), "h:0,1,2,3"),
        ("wrapped", plan!("wrapped"), "h:3"),
        ("literal_behind", plan!("literal_behind"), "k:0"),
        ("name", plan!("name"), "a b|c:3"),
        ("many", plan!("many"), &many),
    ] {
        assert_eq!(shown(plan).as_deref(), Some(want), "{name}");
    }
}

#[test]
fn aliases_are_told_by_the_longer_plan() {
    let plan = plan!("extended");
    let of = |alias: &str| table_of(plan, alias.as_bytes());
    assert_eq!(of("a"), Some(b"g".to_vec()));
    assert_eq!(of("N"), Some(b"n".to_vec()));
    assert_eq!(of("x"), None);
    assert_eq!(table_of(plan!("get"), b"h"), None);
}

#[test]
fn lists_are_read() {
    let of = |text: &str| spots(text.as_bytes()).map(|(spots, _)| spots);
    let all = |spots: &[Spot]| Some(Some(spots.to_vec()));
    assert_eq!(of("nil)"), Some(None));
    assert_eq!(of("p3)"), all(&[(3, None)]));
    assert_eq!(of("p0, p[4-5])"), all(&[(0, None), (4, None), (5, None)]));
    assert_eq!(
        of("p1sp[0-1], p2sp0)"),
        all(&[(1, Some(0)), (1, Some(1)), (2, Some(0))])
    );
    for text in [
        "",
        "p3",
        ")",
        "p)",
        "px)",
        "p[3-1])",
        "p[0-99999999])",
        "p1sp)",
        "q1)",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
}

#[test]
fn no_plan_is_too_strange() {
    for plan in [plan!("list"), plan!("extended"), plan!("insert")] {
        for cut in 0..plan.len() {
            let _ = read(&plan[..cut]);
            let _ = read(&plan[cut..]);
            let _ = table_of(&plan[cut..], b"a");
        }
    }
}
