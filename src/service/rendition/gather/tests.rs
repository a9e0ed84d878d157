use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use proptest::prelude::*;

use super::*;
use crate::service::rendition::lane::Lane;
use crate::service::rendition_url::{RecipeRequest, RenditionFormat};

/// Renditions that wait or are rendered, of all photos: a photo's share is all of it.
const PLACES: u32 = 4;
const PHOTOS: u8 = 3;

fn key(photo: u8, width: u32) -> CacheKey {
    let recipe = RecipeRequest { width, format: Some(RenditionFormat::Jpeg), ..RecipeRequest::default() };
    CacheKey {
        hash: BlobHash::of(&[photo]),
        recipe: recipe.settle(RenditionFormat::Jpeg, 80, 2_000).unwrap(),
        previews: false,
        max_embedded_bytes: 0,
    }
}

fn wanted(photo: u8, width: u32) -> (BlobHash, Wanted) {
    let key = key(photo, width);
    (key.hash, Wanted::Rendition(key))
}

fn number_of(wanted: &Wanted) -> u64 {
    let Wanted::Rendition(key) = wanted else { panic!("nothing else is waited for here") };
    u64::from(key.recipe.width) - 1
}

fn picture(number: u64) -> Rendition {
    Rendition { bytes: Bytes::from(number.to_string()), format: RenditionFormat::Jpeg }
}

/// A queue, and what stands in it.
struct Rig {
    gather: Gather,
    lane: Lane,
    taking: BTreeMap<u8, Taking>,
    /// Who waits for an answer, by number.
    askers: BTreeMap<u64, BoxFuture<'static, Result<Bytes, ServiceError>>>,
    /// What is waited for and rendered: photo and number.
    waiting: Vec<(u8, u64)>,
    rendered: Vec<(u64, Asked)>,
    next: u64,
}

impl Rig {
    fn new() -> Self {
        let (askers, waiting, rendered) = (BTreeMap::new(), vec![], vec![]);
        Self { gather: Gather::default(), lane: Lane::new(PLACES, 1), taking: BTreeMap::new(), askers, waiting, rendered, next: 0 }
    }

    /// Asks for a rendition that is as wide as its number says.
    fn ask(&mut self, photo: u8) {
        let (hash, wanted) = wanted(photo, self.next as u32 + 1);
        let Ok(place) = self.lane.place(hash) else {
            assert_eq!(self.waiting.len() + self.rendered.len(), PLACES as usize, "busy only where all places are taken");
            return;
        };
        let (begun, taking) = self.gather.join(hash, wanted, place);
        assert_eq!(taking.is_some(), !self.taking.contains_key(&photo), "one takes turns for a photo");
        self.taking.extend(taking.map(|taking| (photo, taking)));
        self.askers.insert(self.next, async move { Ok(begun.await?.rendered().await?.bytes) }.boxed());
        self.waiting.push((photo, self.next));
        self.next += 1;
    }

    /// One leaves; what is rendered goes on.
    fn leave(&mut self, at: usize) {
        let Some(number) = self.askers.keys().nth(at % self.askers.len().max(1)).copied() else { return };
        drop(self.askers.remove(&number));
        self.waiting.retain(|(_, waiting)| *waiting != number);
    }

    /// Begins with at most two of those that an even number is asked of, or an odd one.
    fn begin(&mut self, photo: u8, odd: bool) {
        let Some(taking) = self.taking.get(&photo) else { return };
        let goes_along = |number: u64| (number % 2 == 1) == odd;
        assert_eq!(taking.waiting().iter().map(number_of).collect::<Vec<_>>(), self.of(photo), "in the order in which they came");
        let begun = taking.begin(2, None, |wanted| goes_along(number_of(wanted)));
        let expected: Vec<_> = self.of(photo).into_iter().filter(|number| goes_along(*number)).take(2).collect();
        let begun: Vec<_> = begun.into_iter().map(|asked| (number_of(&asked.wanted), asked)).collect();
        assert_eq!(begun.iter().map(|(number, _)| *number).collect::<Vec<_>>(), expected);
        self.waiting.retain(|(_, number)| !expected.contains(number));
        self.rendered.extend(begun);
    }

    /// All of a photo that wait cannot be rendered.
    fn fail(&mut self, photo: u8) {
        let Some(taking) = self.taking.get(&photo) else { return };
        taking.fail(&ServiceError::NotFound("image"), |_| true);
        for number in self.of(photo) {
            assert_eq!(self.answer_of(number), Some(Err(ServiceError::NotFound("image"))));
        }
        self.waiting.retain(|(of, _)| *of != photo);
    }

    /// One is there, or failed: that is nothing to the others.
    fn answer(&mut self, at: usize, is_good: bool) {
        if self.rendered.is_empty() {
            return;
        }
        let (number, asked) = self.rendered.remove(at % self.rendered.len());
        let is_awaited = self.askers.contains_key(&number);
        let broken = ServiceError::NotFound("picture");
        let left = asked.answer(if is_good { Ok(picture(number)) } else { Err(broken.clone()) });
        assert_eq!(left.map(|left| left.bytes), (is_good && !is_awaited).then(|| picture(number).bytes), "what nobody takes comes back");
        if is_awaited {
            assert_eq!(self.answer_of(number), Some(if is_good { Ok(picture(number).bytes) } else { Err(broken) }));
        }
    }

    /// A turn comes: where nothing waits nobody needs it.
    fn turn(&mut self, photo: u8) {
        let Some(taking) = self.taking.get(&photo) else { return };
        let turn = taking.turn(std::future::ready(())).now_or_never().unwrap();
        assert_eq!(turn.is_some(), !self.of(photo).is_empty());
        if turn.is_none() {
            self.taking.remove(&photo);
        }
    }

    fn of(&self, photo: u8) -> Vec<u64> {
        self.waiting.iter().filter(|(of, _)| *of == photo).map(|(_, number)| *number).collect()
    }

    fn answer_of(&mut self, number: u64) -> Option<Result<Bytes, ServiceError>> {
        let answer = self.askers.get_mut(&number)?.now_or_never()?;
        self.askers.remove(&number);
        Some(answer)
    }

    fn check(&mut self) {
        assert_eq!(
            self.lane.load().0,
            (self.waiting.len() + self.rendered.len()) as u64,
            "each has a place till it is answered or has gone"
        );
        let numbers: Vec<_> = self.askers.keys().copied().collect();
        for number in numbers {
            assert_eq!(self.answer_of(number), None, "nobody is answered for another");
        }
    }

    fn end(mut self) {
        self.rendered.clear();
        for photo in 0..PHOTOS {
            drop(self.taking.remove(&photo));
        }
        for number in self.askers.keys().copied().collect::<Vec<_>>() {
            assert_eq!(self.answer_of(number), Some(Err(ServiceError::SHUTTING_DOWN)), "nobody waits for ever");
        }
        assert_eq!(self.lane.load().0, 0);
        assert!(self.gather.state().photos.is_empty());
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask(u8),
    Leave(usize),
    Begin(u8, bool),
    Fail(u8),
    Answer(usize, bool),
    Turn(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let photo = || 0..PHOTOS;
    let step = prop_oneof![
        6 => photo().prop_map(Step::Ask),
        2 => (0_usize..8).prop_map(Step::Leave),
        3 => (photo(), any::<bool>()).prop_map(|(photo, odd)| Step::Begin(photo, odd)),
        1 => photo().prop_map(Step::Fail),
        4 => (0_usize..8, any::<bool>()).prop_map(|(at, is_good)| Step::Answer(at, is_good)),
        3 => photo().prop_map(Step::Turn),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn each_is_answered_for_itself_and_leaves_nothing_behind(steps in steps()) {
        let mut rig = Rig::new();
        for step in steps {
            match step {
                Step::Ask(photo) => rig.ask(photo),
                Step::Leave(at) => rig.leave(at),
                Step::Begin(photo, odd) => rig.begin(photo, odd),
                Step::Fail(photo) => rig.fail(photo),
                Step::Answer(at, is_good) => rig.answer(at, is_good),
                Step::Turn(photo) => rig.turn(photo),
            }
            rig.check();
        }
        rig.end();
    }
}

#[tokio::test]
async fn who_waits_for_a_turn_that_nobody_needs_any_more_does_not_wait_on() {
    let mut rig = Rig::new();
    rig.ask(0);
    let taking = rig.taking.remove(&0).unwrap();
    let mut turn = Box::pin(taking.turn(std::future::pending::<()>()));
    assert!((&mut turn).now_or_never().is_none());
    rig.leave(0);
    // Another comes before it is seen that the first has gone: it takes that one's place.
    let (hash, wanted) = wanted(0, 9);
    let (begun, second) = rig.gather.join(hash, wanted, rig.lane.place(hash).unwrap());
    assert!(second.is_none());
    assert!((&mut turn).now_or_never().is_none());
    drop(begun);
    assert_eq!(turn.await, None);
    let (_begun, third) = rig.gather.join(hash, wanted, rig.lane.place(hash).unwrap());
    assert!(third.is_some());
    // What was given back is not taken from another.
    drop(taking);
    assert_eq!(third.unwrap().waiting().len(), 1);
}
