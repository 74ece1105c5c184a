use std::sync::atomic::AtomicUsize;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::clamped(seconds * 1_000_000)
}

fn paced() -> Paced<usize> {
    Paced::new(Duration::from_millis(30), Duration::from_secs(10), Duration::from_secs(1000))
}

#[tokio::test]
async fn a_value_is_fetched_when_it_is_old_and_kept_when_there_is_no_newer_one() {
    let (paced, fetches) = (paced(), AtomicUsize::new(0));
    let next = async || Ok(fetches.fetch_add(1, Ordering::SeqCst));
    let fail = async || {
        fetches.fetch_add(1, Ordering::SeqCst);
        Err(Error::internal("away"))
    };
    assert_eq!(paced.get(at(100), fail).await.unwrap_err().kind(), Kind::Internal);
    assert_eq!(*paced.get(at(100), next).await.unwrap(), 1);
    assert_eq!(*paced.get(at(109), next).await.unwrap(), 1);
    assert_eq!(*paced.get(at(110), next).await.unwrap(), 2);
    // A clock that went back is as good as one that went on.
    assert_eq!(*paced.get(at(50), next).await.unwrap(), 3);
    assert_eq!(*paced.get(at(70), fail).await.unwrap(), 3);
    assert_eq!(fetches.load(Ordering::SeqCst), 5);
    // Not tried again at once.
    assert_eq!(*paced.get(at(71), fail).await.unwrap(), 3);
    assert_eq!(fetches.load(Ordering::SeqCst), 5);
    assert_eq!(*paced.get(at(101), fail).await.unwrap(), 3);
    assert_eq!(fetches.load(Ordering::SeqCst), 6);
    assert_eq!(paced.get(at(1051), fail).await.unwrap_err().kind(), Kind::Internal);
    assert_eq!(*paced.get(at(1051), next).await.unwrap(), 7);
}

#[tokio::test]
async fn many_who_ask_for_something_newer_share_a_fetch() {
    let (paced, fetches) = (paced(), AtomicUsize::new(0));
    let next = async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(fetches.fetch_add(1, Ordering::SeqCst))
    };
    let started = Instant::now();
    for _ in 0..3 {
        let all: Vec<_> = (0..100).map(|_| paced.newer(at(1), next)).collect();
        for one in futures_util::future::join_all(all).await {
            one.unwrap();
        }
    }
    assert!(fetches.load(Ordering::SeqCst) <= 6, "{fetches:?}");
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_fetch_in_vain_is_shared_too() {
    let (paced, fetches) = (paced(), AtomicUsize::new(0));
    let fail = async || -> Result<usize> {
        fetches.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(Error::internal("away"))
    };
    let all: Vec<_> = (0..100).map(|_| paced.newer(at(1), fail)).collect();
    let failed = futures_util::future::join_all(all).await;
    assert!(failed.iter().all(Result::is_err));
    assert!(fetches.load(Ordering::SeqCst) <= 2, "{fetches:?}");
}
