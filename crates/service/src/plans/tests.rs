use super::*;

fn refused(text: &str) -> String {
    Plans::new(Some(text), UNRESTRICTED).unwrap_err().public().to_owned()
}

#[test]
fn built_in_plans() {
    let plans = Plans::new(None, "free").unwrap();
    assert_eq!(plans.get("").unwrap().name, "free");
    let shown = |name: &str| {
        let p = plans.get(name).unwrap();
        (p.export, p.events_per_month, p.keys, p.requests_per_minute, p.burst)
    };
    assert_eq!(shown("free"), (false, Some(10_000), Some(3), 100, 100));
    assert_eq!(shown("pro"), (true, Some(1_000_000), Some(50), 1000, 1000));
    assert_eq!(shown("enterprise"), (true, None, None, 1_000_000, 1_000_000));
    assert_eq!(*plans.get(UNRESTRICTED).unwrap(), Plan::unrestricted());
    assert!(plans.get("gold").is_none());
    assert!(Plans::new(None, "gold").unwrap_err().public().contains("enterprise, free, pro, unrestricted"));
}

#[test]
fn the_example_is_the_built_in_plans() {
    let example = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/plans.toml"));
    assert_eq!(format!("{:?}", Plans::new(Some(example), UNRESTRICTED).unwrap()), format!("{:?}", Plans::default()));
}

#[test]
fn a_file_takes_the_place_of_the_built_in_plans() {
    let plans = Plans::new(Some("[gold]\nkeys = 2\nrequests_per_minute = 600\nburst = 20\n[bare]\n"), "gold").unwrap();
    let gold = plans.get("").unwrap();
    assert_eq!((gold.name.as_str(), gold.export, gold.keys, gold.members, gold.requests_per_minute, gold.burst), ("gold", true, Some(2), None, 600, 20));
    assert_eq!(*plans.get("bare").unwrap(), Plan { name: "bare".into(), ..Plan::unrestricted() });
    assert!(plans.get("free").is_none() && plans.get(UNRESTRICTED).is_some());
}

#[test]
fn refusals_name_the_line_and_what_is_wrong() {
    for (text, wants) in [
        ("[gold]\nkeys = 2\nexprt = true", ["line 3", "exprt"]),
        ("[gold]\nkeys = -1", ["line 2", "-1"]),
        ("[gold]\n\nrequests_per_minute = 0", ["line 3", "from 1 to 10000000"]),
        ("[gold]\nburst = 20000000", ["line 2", "from 1 to 10000000"]),
        ("[gold]\nexport = 'yes'", ["line 2", "boolean"]),
        ("keys = 2", ["line 1", "keys"]),
        ("[Gold]", ["[Gold]", "lower-case"]),
        ("[unrestricted]\nkeys = 1", ["[unrestricted]", "another one"]),
        ("[default]", ["[default]", "another one"]),
        ("[gold", ["line 1", "[gold"]),
    ] {
        let said = refused(text);
        for want in wants {
            assert!(said.contains(want), "{want}: {said}");
        }
    }
}

#[test]
fn counts_stop_at_the_plan() {
    let plan = Plan { keys: Some(2), members: Some(0), ..Plan::unrestricted() };
    assert!(plan.one_more_key(1).is_ok());
    assert_eq!(plan.one_more_key(2).unwrap_err().kind(), Kind::PlanLimit);
    assert_eq!(plan.one_more_member(0).unwrap_err().public(), "The plan unrestricted allows 0 members.");
    assert!(Plan::unrestricted().one_more_key(u64::MAX).is_ok());
}
