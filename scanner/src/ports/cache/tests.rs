use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_795_000_000;

fn holder(pid: u32) -> Holder {
    let binary = Stamp { device: 1, inode: 2, size: 3, modified_ns: 4, changed_ns: 5 };
    Holder { pid, started: 900, binary }
}

fn place() -> SocketAddr {
    "[::]:443".parse().unwrap()
}

fn epoch() -> Epoch {
    Epoch { boot: "one".into(), namespace: 7, fingerprints: [3; 32] }
}

fn service() -> ServiceReport {
    ServiceReport {
        name: "https".into(),
        product: Some("nginx".into()),
        version: Some("1.22.1".into()),
        confidence: 0.98,
        source: Some("probe".into()),
        age_s: Some(0),
        ..ServiceReport::default()
    }
}

fn certificate() -> TlsReport {
    TlsReport {
        version: "1.3".into(),
        subject: Some("CN=a".into()),
        not_before: Some("2026-01-01T00:00:00Z".into()),
        not_after: Some("2026-12-01T00:00:00Z".into()),
        names: vec!["a.example.org".into()],
        chain: 1,
        source: "probe".into(),
        ..TlsReport::default()
    }
}

fn known() -> Cache {
    let mut cache = Cache::new(epoch());
    let holders = [holder(5), holder(6)];
    let key = Key { place: place(), cookie: 11, holders: &holders };
    cache.keep_service(&key, &service(), NOW);
    cache.keep_tls(&key, (Some("a.example.org"), Start::Direct), &certificate(), NOW);
    let owner = Owner { pid: 5, exe: Some("/usr/sbin/nginx".into()), ..owner() };
    cache.keep_owners((11, 21), &holders, &[owner], NOW);
    cache.keep_package(holder(5).binary, Stamp::default(), Some("nginx 1.22.1-9".into()));
    cache
}

fn owner() -> Owner {
    serde_json::from_str(r#"{"pid":5,"uid":0}"#).unwrap()
}

#[test]
fn what_was_kept_is_found_with_source_and_age() {
    let cache = known();
    let holders = [holder(5), holder(6)];
    let key = Key { place: place(), cookie: 11, holders: &holders };
    let found = cache.service_report(&key, NOW + 60, i64::MAX).unwrap();
    assert_eq!((found.source.as_deref(), found.age_s), (Some("cache"), Some(60)));
    assert_eq!(found.version.as_deref(), Some("1.22.1"));
    let at = Timestamp::from_second(NOW + 60).unwrap();
    let asked = (Some("a.example.org"), Start::Direct);
    let tls = cache.tls(&key, asked, at, i64::MAX).unwrap();
    assert_eq!((tls.source.as_str(), tls.age_s), ("cache", 60));
    let (owners, age) = cache.owners((11, 21), NOW + 60, |_| true).unwrap();
    assert_eq!((owners.owners[0].pid, age), (5, 60));
    let package = cache.package(&holder(5).binary, &Stamp::default());
    assert_eq!(package, Some(Some("nginx 1.22.1-9")));
}

#[test]
fn each_layer_ends_at_its_age() {
    let cache = known();
    let holders = [holder(5), holder(6)];
    let key = Key { place: place(), cookie: 11, holders: &holders };
    let service = |now, most| cache.service(&key, now, most).map(|(_, age)| age);
    assert_eq!(service(NOW + SERVICE_AGE_MAX_S, i64::MAX), Some(86_400));
    assert_eq!(service(NOW + SERVICE_AGE_MAX_S + 1, i64::MAX), None);
    assert_eq!((service(NOW + 60, 60), service(NOW + 61, 60)), (Some(60), None));
    assert_eq!((service(NOW - 2, 60), service(NOW - 3, 60)), (Some(0), None), "clock set back");
    let owners = |now| cache.owners((11, 21), now, |_| true).is_some();
    assert!(owners(NOW + OWNERS_AGE_MAX_S) && !owners(NOW + OWNERS_AGE_MAX_S + 1));
    let tls = |now: i64| {
        let now = Timestamp::from_second(now).unwrap();
        cache.tls(&key, (Some("a.example.org"), Start::Direct), now, i64::MAX)
    };
    assert!(tls(NOW + TLS_AGE_MAX_S).is_some() && tls(NOW + TLS_AGE_MAX_S + 1).is_none());
}

#[test]
fn faults_of_a_kept_certificate_are_those_of_the_day() {
    let end: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let holders = [holder(5)];
    let key = Key { place: place(), cookie: 11, holders: &holders };
    let asked = (None, Start::Imap);
    let mut cache = Cache::new(epoch());
    cache.keep_service(&key, &service(), end.as_second() - 86_400);
    cache.keep_tls(&key, asked, &certificate(), end.as_second() - 3600);
    let before = Timestamp::from_second(end.as_second() - 60).unwrap();
    let found = cache.tls(&key, asked, before, i64::MAX).unwrap();
    assert_eq!(found.faults, ["expires in 0 days (within 14)"]);
    assert_eq!(cache.tls(&key, asked, end, i64::MAX), None, "it may have been renewed");
    assert_eq!(cache.tls(&key, (None, Start::Direct), before, i64::MAX), None);
    assert_eq!(cache.tls(&key, (Some("x"), Start::Imap), before, i64::MAX), None);
}

#[test]
fn another_boot_namespace_or_fingerprints_forget_what_depends_on_them() {
    let holders = [holder(5), holder(6)];
    let key = Key { place: place(), cookie: 11, holders: &holders };
    for (other, owners) in [
        (Epoch { boot: "two".into(), ..epoch() }, false),
        (Epoch { namespace: 8, ..epoch() }, false),
        (Epoch { fingerprints: [4; 32], ..epoch() }, true),
        (epoch(), true),
    ] {
        let mut cache = known();
        cache.enter(other.clone());
        assert_eq!(cache.service(&key, NOW, i64::MAX).is_some(), other == epoch());
        assert_eq!(cache.owners((11, 21), NOW, |_| true).is_some(), owners);
        assert!(cache.package(&holder(5).binary, &Stamp::default()).is_some());
    }
}

#[test]
fn the_budget_of_a_day_is_spent_and_comes_back() {
    let mut cache = Cache::new(epoch());
    for _ in 0..PROBES_A_DAY {
        assert!(cache.spend(place(), NOW));
    }
    assert!(!cache.spend(place(), NOW) && !cache.spend(place(), NOW));
    assert!(cache.spend("127.0.0.1:443".parse().unwrap(), NOW), "another endpoint");
    let mut kept = Cache::from_bytes(&cache.to_bytes().unwrap()).unwrap();
    assert!(!kept.spend(place(), NOW), "kept with the cache");
    assert!(kept.spend(place(), NOW + 86_400));
}

#[test]
fn layers_are_bounded_and_tidied_by_what_listens() {
    let mut cache = Cache::new(epoch());
    let crowd: Vec<Holder> = (0..=u32::try_from(HOLDERS_MAX).unwrap()).map(holder).collect();
    for (number, holders) in [(1_u16, &crowd[..HOLDERS_MAX]), (2, &crowd[..]), (3, &[])] {
        let key = Key { place: SocketAddr::new([127, 0, 0, 1].into(), number), cookie: 1, holders };
        cache.keep_service(&key, &service(), NOW);
        assert_eq!(cache.service(&key, NOW, 60).is_some(), number == 1);
    }
    let holders = [holder(1)];
    for number in 0..=u32::try_from(ENTRIES_MAX).unwrap() {
        let place = SocketAddr::new(std::net::Ipv4Addr::from(number).into(), 80);
        let key = Key { place, cookie: u64::from(number), holders: &holders };
        cache.keep_service(&key, &service(), NOW);
    }
    assert_eq!(cache.services.len(), ENTRIES_MAX);
    cache.tidy(&[7, 8].into(), NOW);
    assert_eq!(cache.services.len(), 2);
    cache.tidy(&[7, 8].into(), NOW + SERVICE_AGE_MAX_S + 1);
    assert!(cache.services.is_empty());
}

#[test]
fn bytes_come_back_and_other_versions_are_not_read() {
    let cache = known();
    let bytes = cache.to_bytes().unwrap();
    assert_eq!(Cache::from_bytes(&bytes), Ok(cache));
    for end in 0..bytes.len() {
        assert!(Cache::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    assert_eq!(Cache::from_bytes(&[&bytes[..], &[0]].concat()), Err(CacheError::Damaged));
    let mut other = bytes;
    other[0] = 2;
    assert_eq!(Cache::from_bytes(&other), Err(CacheError::Schema));
    let large = vec![1; CACHE_BYTES_MAX + 1];
    assert_eq!(Cache::from_bytes(&large), Err(CacheError::TooLarge));
}

proptest! {
    #[test]
    fn any_change_of_any_part_of_a_key_misses(part in 0..10_usize, by in 1..u64::MAX, which in 0..2_usize) {
        let (mut cookie, mut place) = (11_u64, place());
        let mut holders = vec![holder(5), holder(6)];
        let narrow = u32::try_from(by >> 33).unwrap() | 1;
        let one = &mut holders[which];
        match part {
            0 => cookie ^= by,
            1 => place.set_port(place.port() ^ u16::try_from(by >> 49).unwrap().max(1)),
            2 => place.set_ip(std::net::Ipv4Addr::from(narrow).into()),
            3 => one.pid ^= narrow,
            4 => one.started ^= by,
            5 => one.binary.device ^= by,
            6 => one.binary.inode ^= by,
            7 => one.binary.size ^= by,
            8 => one.binary.modified_ns ^= by.cast_signed(),
            _ => one.binary.changed_ns ^= by.cast_signed(),
        }
        let cache = known();
        let key = Key { place, cookie, holders: &holders };
        let now = Timestamp::from_second(NOW).unwrap();
        prop_assert!(cache.service(&key, NOW, i64::MAX).is_none());
        let asked = (Some("a.example.org"), Start::Direct);
        prop_assert!(cache.tls(&key, asked, now, i64::MAX).is_none());
        let gone = Key { holders: &holders[..1], cookie: 11, place: super::tests::place() };
        prop_assert!(cache.service(&gone, NOW, i64::MAX).is_none(), "a holder that left");
        if part == 4 {
            prop_assert!(cache.owners((11, 21), NOW, |kept| holders.contains(kept)).is_none());
            prop_assert!(cache.owners((11, 21 ^ narrow), NOW, |_| true).is_none());
        }
        if part > 4 {
            let package = cache.package(&holders[which].binary, &Stamp::default());
            prop_assert!(package.is_none());
            prop_assert!(cache.package(&holder(5).binary, &holders[which].binary).is_none());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Cache::from_bytes(&bytes);
        let _ = Cache::from_bytes(&[&[1], &bytes[..]].concat());
    }
}
