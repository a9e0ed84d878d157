//! Several pictures of one photo, and its preview with them, from as few decodings as there are scales that they need.
//!
//! Each picture is, byte by byte, the one that is made alone: only what would have been decoded in exactly the same way is decoded once.

use serde::{Deserialize, Serialize};

use super::decode::Scale;
use super::error::ImagingError;
use super::limits::Limits;
use super::preview::preview_recipe;
use super::recipe::Recipe;
use super::render::{Opened, Plan, Rendered, Renderer, Resized};

/// Pictures that are made together at most.
pub const MAX_RUNGS: usize = 8;

/// What a picture is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MadeFrom {
    /// The photo itself, as by [`Renderer::render`].
    Photo,
    /// Its preview, as by [`Renderer::render_preview`]; the photo itself where it can have no preview.
    Preview,
}

/// One of several pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// What it is told by when it is made. No other of the same ladder has it.
    pub number: u32,
    /// What to make.
    pub recipe: Recipe,
    /// What of.
    pub from: MadeFrom,
}

/// Several pictures of a photo, at most [`MAX_RUNGS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// The photo's size in pixels, as shown.
    pub shown: (u32, u32),
    /// The pictures.
    pub rungs: Vec<Rung>,
}

/// What was made of a ladder, as soon as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// The rung with this number.
    Rung(u32, Result<Rendered, ImagingError>),
    /// The preview, as by [`Renderer::preview`], before the first rung that is made from it.
    Preview(Result<Option<Rendered>, ImagingError>),
}

impl Ladder {
    /// Whether any of it is made from the preview, which then has to be made first.
    pub fn needs_preview(&self) -> bool {
        self.rungs.iter().any(|rung| rung.from == MadeFrom::Preview)
    }
}

/// A picture, and whose it is.
struct Step<'a> {
    plan: Plan<'a>,
    /// The preview's has none.
    number: Option<u32>,
}

impl Step<'_> {
    fn told(&self, made: Result<Option<Rendered>, ImagingError>) -> Made {
        match (self.number, made) {
            (Some(number), Ok(Some(rendered))) => Made::Rung(number, Ok(rendered)),
            (Some(number), Ok(None)) => Made::Rung(number, Err(ImagingError::Encoding("no picture".into()))),
            (Some(number), Err(error)) => Made::Rung(number, Err(error)),
            (None, made) => Made::Preview(made),
        }
    }
}

impl Renderer {
    /// Makes all rungs of a ladder, and the preview where one is made from it. Tells `each` one, whichever is made first first; one that
    /// fails is nothing to the others. Needs as much memory as the rung that needs most, and the preview's file.
    pub fn ladder(&mut self, photo: &[u8], ladder: &Ladder, limits: &Limits, each: &mut dyn FnMut(Made)) {
        let (of_preview, of_photo): (Vec<_>, Vec<_>) = ladder.rungs.iter().partition(|rung| rung.from == MadeFrom::Preview);
        let opened = match Opened::of(photo, None, limits) {
            Ok(opened) => opened,
            Err(error) => {
                if ladder.needs_preview() {
                    each(Made::Preview(Err(error.clone())));
                }
                return failed(&ladder.rungs.iter().collect::<Vec<_>>(), &error, each);
            }
        };
        let recipe = preview_recipe();
        let mut preview = None;
        let mut groups = Groups::default();
        // The preview's group is the first: the small pictures wait for it, and they are those of which there are many.
        if ladder.needs_preview() {
            groups.add(opened.plan(&recipe), None, &mut noting(&mut preview, each));
        }
        for rung in of_photo {
            groups.add(opened.plan(&rung.recipe), Some(rung.number), each);
        }
        loop {
            match preview.take() {
                None => {}
                Some(Ok(Some(made))) => self.rungs(&made.bytes, ladder.shown, &of_preview, limits, each),
                Some(Ok(None)) => of_preview.iter().for_each(|rung| groups.add(opened.plan(&rung.recipe), Some(rung.number), each)),
                Some(Err(error)) => failed(&of_preview, &error, each),
            }
            let Some(group) = groups.next() else { break };
            self.group(&group, &mut noting(&mut preview, each));
        }
        self.trim();
    }

    /// Makes all rungs of a ladder from the photo's preview, whatever they say of it.
    pub fn ladder_of_preview(&mut self, preview: &[u8], ladder: &Ladder, limits: &Limits, each: &mut dyn FnMut(Made)) {
        self.rungs(preview, ladder.shown, &ladder.rungs.iter().collect::<Vec<_>>(), limits, each);
        self.trim();
    }

    /// Makes rungs of a preview.
    fn rungs(&mut self, preview: &[u8], shown: (u32, u32), rungs: &[&Rung], limits: &Limits, each: &mut dyn FnMut(Made)) {
        let opened = match Opened::of(preview, Some(shown), limits) {
            Ok(opened) => opened,
            Err(error) => return failed(rungs, &error, each),
        };
        let mut groups = Groups::default();
        for rung in rungs {
            groups.add(opened.plan(&rung.recipe), Some(rung.number), each);
        }
        while let Some(group) = groups.next() {
            self.group(&group, each);
        }
    }

    /// Pictures of one scale, from one decoding, which is gone afterwards.
    fn group(&mut self, steps: &[Step<'_>], each: &mut dyn FnMut(Made)) {
        let Some((last, others)) = steps.split_last() else { return };
        let picture = match last.plan.decoded(&mut self.scratch) {
            Ok(picture) => picture,
            Err(error) => return steps.iter().for_each(|step| each(step.told(Err(error.clone())))),
        };
        let mut resized = Resized::default();
        let is_transparent = picture.may_be_transparent();
        let has_none = |step: &Step<'_>| step.number.is_none() && is_transparent;
        for (step, next) in others.iter().zip(&steps[1..]) {
            resized.is_kept = step.plan.target() == next.plan.target();
            let made = if has_none(step) { Ok(None) } else { step.plan.made(picture.borrowed(), &mut resized).map(Some) };
            each(step.told(made));
        }
        resized.is_kept = false;
        each(last.told(if has_none(last) { Ok(None) } else { last.plan.made(picture, &mut resized).map(Some) }));
    }
}

/// Tells that none of these can be made.
fn failed(rungs: &[&Rung], error: &ImagingError, each: &mut dyn FnMut(Made)) {
    rungs.iter().for_each(|rung| each(Made::Rung(rung.number, Err(error.clone()))));
}

/// Tells `each`, and keeps what becomes of the preview.
fn noting<'a>(preview: &'a mut Option<Result<Option<Rendered>, ImagingError>>, each: &'a mut dyn FnMut(Made)) -> impl FnMut(Made) + 'a {
    move |made| {
        if let Made::Preview(made) = &made {
            *preview = Some(made.clone());
        }
        each(made);
    }
}

/// Pictures by the scale that they need the photo at.
#[derive(Default)]
struct Groups<'a>(Vec<(Scale, Vec<Step<'a>>)>);

impl<'a> Groups<'a> {
    /// Adds a picture; what cannot be made, or moves and is made alone, is told at once.
    fn add(&mut self, plan: Result<Plan<'a>, ImagingError>, number: Option<u32>, each: &mut dyn FnMut(Made)) {
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                return each(number.map_or_else(|| Made::Preview(Err(error.clone())), |number| Made::Rung(number, Err(error.clone()))));
            }
        };
        if let Some(moving) = plan.moving() {
            let step = Step { plan, number };
            return each(step.told(moving.map(Some)));
        }
        let scale = plan.scale();
        let step = Step { plan, number };
        match self.0.iter_mut().find(|(of, _)| *of == scale) {
            Some((_, steps)) => steps.push(step),
            None => self.0.push((scale, vec![step])),
        }
    }

    /// The next group, in the order of what was added; of that the small ones first, and those of one size one after the other.
    fn next(&mut self) -> Option<Vec<Step<'a>>> {
        if self.0.is_empty() {
            return None;
        }
        let (_, mut steps) = self.0.remove(0);
        steps.sort_by_key(|step| step.plan.target());
        Some(steps)
    }
}
