use super::*;

fn entry(state: &str, expires: u64) -> ActionEntry {
    let expires = Some(expires).filter(|&expires| expires != 0);
    ActionEntry { state: state.to_owned(), expires, ..ActionEntry::default() }
}

#[test]
fn they_are_numbered_bounded_and_outlive_the_daemon() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(directory.path()).expect("opens");
    let mut actions = Actions::restore(&mut store).expect("reads");
    assert_eq!(actions.add(entry("held", 100)), 1);
    for _ in 0..KEPT + 10 {
        actions.add(entry("done", 0));
    }
    assert_eq!((actions.entries.len(), actions.held()), (KEPT, 1), "what waits is kept");
    assert_eq!((actions.overdue(99), actions.overdue(100)), (vec![], vec![1]));
    store.keep_actions(&actions.take_changes()).expect("writes");
    assert!(actions.take_changes().is_empty());
    let mut again = Actions::restore(&mut store).expect("reads");
    assert_eq!((again.held(), again.next), (1, actions.next));
    let query = ActionQuery { all: false, limit: 9 };
    assert_eq!(again.list(&query).len(), 1);
    let all = again.list(&ActionQuery { all: true, limit: 2 });
    assert_eq!(all.iter().map(|entry| entry.id).collect::<Vec<_>>(), [1_011, 1_010]);
    again.set(1, "rejected", None).expect("there");
    assert_eq!(again.held(), 0);
    for _ in 0..HELD + 3 {
        again.add(entry("held", 0));
    }
    assert_eq!(again.overdue(0).len(), 3, "the oldest of too many");
}

#[test]
fn what_waited_is_revived_under_the_policy_of_now() {
    let text = "[groups.partners]\ncidrs = [\"198.51.100.0/24\"]\n[[api]]\nname = \"orders\"\n\
                listen = [\"tcp/80\"]\nallow = \"any\"\n";
    let loaded = crate::policy::parse(text, std::path::Path::new("."), "p.toml");
    let mut ids = crate::image::Ids::new(16);
    ids.api("orders").expect("room");
    let profile = Profile::new(std::sync::Arc::new(loaded.policy.expect("valid")), &ids);
    let base = ActionEntry {
        api: "orders".to_owned(),
        ttl_seconds: 60.0,
        source: Some("2001:db8::/64".to_owned()),
        ..ActionEntry::default()
    };
    for (kind, argument, good) in [
        ("ban", None, true),
        ("escalate", Some("20"), true),
        ("escalate", None, false),
        ("limit", Some("10/s"), true),
        ("limit", Some("10"), false),
        ("lockdown", Some("partners"), true),
        ("lockdown", Some("gone"), false),
        ("dance", None, false),
    ] {
        let argument = argument.map(str::to_owned);
        let entry = ActionEntry { kind: kind.to_owned(), argument, ..base.clone() };
        let revived = revive(&profile, &entry);
        assert_eq!(revived.is_ok(), good, "{kind}: {revived:?}");
        if let Ok(action) = revived {
            assert_eq!((action.name(), action.ttl().as_secs()), (kind, 60));
        }
    }
    let gone = ActionEntry { api: "gone".to_owned(), kind: "ban".to_owned(), ..base };
    assert!(revive(&profile, &gone).is_err());
}
