//! A store with a channel that is online, on either database, and the time in hand.

use std::sync::atomic::{AtomicI64, Ordering};

use reverie_moments::life::{
    Limits, Moment, Ms, Policy, Receipt, Source, State, Submission, Viewer,
};
use reverie_moments::store::{Lease, Paid, Store};
use sqlx::AnyPool;
use tempfile::TempDir;

use crate::postgres;

/// The channel of most tests.
pub(crate) const CHANNEL: &str = "show";
/// The node that has its stream.
pub(crate) const NODE: &str = "node-1";

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) url: String,
    now: AtomicI64,
    _folder: Option<TempDir>,
}

pub(crate) fn limits() -> Limits {
    Limits {
        viewer_cooldown: 0,
        ..Limits::default()
    }
}

impl World {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!(
            "sqlite://{}/moments.sqlite?mode=rwc",
            folder.path().display()
        );
        Self::open(url, limits(), Some(folder)).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::open(postgres::database(false), limits(), None).await
    }

    pub(crate) async fn open(url: String, limits: Limits, folder: Option<TempDir>) -> Self {
        let store = Store::open(&url, limits).await.unwrap();
        let world = Self {
            store,
            url,
            now: AtomicI64::new(1_700_000_000_000),
            _folder: folder,
        };
        world.channel(CHANNEL, Policy::Manual).await;
        world
    }

    pub(crate) fn now(&self) -> Ms {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn pass(&self, span: Ms) -> Ms {
        self.now.fetch_add(span, Ordering::Relaxed) + span
    }

    /// What the store does not do, a test may: the tables themselves.
    pub(crate) async fn tables(&self) -> AnyPool {
        sqlx::AnyPool::connect(&self.url).await.unwrap()
    }

    pub(crate) async fn channel(&self, channel: &str, policy: Policy) {
        self.store
            .add_channel(self.now(), channel, None)
            .await
            .unwrap();
        self.store
            .set_policy(self.now(), channel, policy)
            .await
            .unwrap();
        self.online(channel).await;
    }

    pub(crate) async fn online(&self, channel: &str) {
        self.store
            .hold_stream(self.now(), channel, "source", NODE)
            .await
            .unwrap();
    }

    pub(crate) async fn submit(&self, submission: Submission) -> Moment {
        self.store
            .submit(self.now(), submission)
            .await
            .unwrap()
            .moment
    }

    /// One that is paid, and in review.
    pub(crate) async fn paid(&self, name: &str) -> Moment {
        let moment = self.submit(bits(name)).await;
        let paid = self
            .store
            .accept(self.now(), &receipt(&moment, name))
            .await
            .unwrap();
        let Paid::Accepted(moment) = paid else {
            panic!("{paid:?}")
        };
        moment
    }

    /// One that is paid and approved.
    pub(crate) async fn queued(&self, name: &str) -> Moment {
        let moment = self.paid(name).await;
        self.store
            .approve(self.now(), &moment.id, moment.version)
            .await
            .unwrap()
    }

    pub(crate) async fn claim(&self) -> (Lease, Moment) {
        self.online(CHANNEL).await;
        let claimed = self.store.claim(self.now(), CHANNEL, NODE).await.unwrap();
        claimed.expect("something to claim")
    }

    /// One that is seen.
    pub(crate) async fn active(&self, name: &str) -> (Lease, Moment) {
        self.queued(name).await;
        let (lease, _) = self.claim().await;
        let moment = self.store.started(self.now(), &lease).await.unwrap();
        (lease, moment)
    }

    pub(crate) async fn state(&self, moment: &Moment) -> State {
        self.store.moment(&moment.id).await.unwrap().state
    }

    pub(crate) async fn balance(&self, name: &str) -> i64 {
        self.store.balance(CHANNEL, name).await.unwrap()
    }
}

/// A request of the viewer of this name for the moment of this name.
pub(crate) fn bits(name: &str) -> Submission {
    Submission {
        id: format!("m-{name}").as_str().into(),
        channel: CHANNEL.into(),
        viewer: Viewer {
            opaque: format!("U-{name}"),
            id: Some(name.into()),
            name: Some(name.to_uppercase()),
        },
        source: Source::Bits,
        sku: "short".into(),
        price: 100,
        prompt: format!("rain for {name}"),
        params: "{}".into(),
        duration: 10_000,
        idempotency_key: format!("key-{name}"),
    }
}

pub(crate) fn receipt(moment: &Moment, transaction: &str) -> Receipt {
    Receipt {
        source: "bits".into(),
        transaction_id: transaction.into(),
        channel: moment.channel.clone(),
        moment: Some(moment.id.clone()),
        user_id: moment.viewer.account().into(),
        sku: moment.sku.clone(),
        amount: moment.price,
        raw: "signed".into(),
    }
}
