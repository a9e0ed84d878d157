//! Several pictures of one photo by one process, which tells each when it is made.

use bytes::Bytes;

use super::job::Task;
use super::{Decoders, Processes, checked, picture_alone};
use crate::imaging::preview::preview_recipe;
use crate::imaging::{Format, ImagingError, Ladder, Limits, Made, MadeFrom, Rendered, Renderer, Rung};
use crate::model::TenantId;
use crate::runtime::Gone;

/// Pictures to be made of one photo.
#[derive(Clone, Debug)]
pub struct Order {
    /// The photo. May be empty where a preview is there, and all is made from it.
    pub original: Bytes,
    /// Its preview, where it was made before; else it is made where it is needed.
    pub preview: Option<Bytes>,
    /// What to make.
    pub ladder: Ladder,
}

impl Decoders {
    /// As [`Renderer::ladder`], or as [`Renderer::ladder_of_preview`] for what is made from a preview that is there. What is made is what
    /// `order` gives when a thread has time for it, so that those who come meanwhile are among it; `each` is told what is made, in its time.
    ///
    /// A photo that kills its decoder, or has it take too long, has the pictures made one by one: each fails for itself.
    ///
    /// # Errors
    /// [`Gone`] where the pool is closed, or `order` or `each` panicked.
    pub async fn ladder(
        &self,
        order: impl FnOnce() -> Option<Order> + Send + 'static,
        mut each: impl FnMut(Made) + Send + 'static,
    ) -> Result<(), Gone> {
        let decoders = self.clone();
        let work = move || {
            if let Some(order) = order() {
                decoders.ladder_now(&order, &mut each);
            }
        };
        self.pool.run(work).await
    }

    fn ladder_now(&self, order: &Order, each: &mut dyn FnMut(Made)) {
        let Order { original, preview, ladder } = order;
        let Some(preview) = preview else { return self.climb(original, ladder, Task::Ladder, each) };
        let (of_preview, of_photo): (Vec<_>, Vec<_>) = ladder.rungs.iter().cloned().partition(|rung| rung.from == MadeFrom::Preview);
        for (photo, rungs, task) in
            [(preview, of_preview, Task::LadderOfPreview as fn(Ladder) -> Task), (original, of_photo, Task::Ladder as fn(Ladder) -> Task)]
        {
            if !rungs.is_empty() {
                self.climb(photo, &Ladder { rungs, ..*ladder }, task, each);
            }
        }
    }

    /// Has pictures made of a photo, or of a preview.
    fn climb(&self, photo: &[u8], ladder: &Ladder, task: fn(Ladder) -> Task, each: &mut dyn FnMut(Made)) {
        let task = task(ladder.clone());
        let held = self.room_for(photo, &task);
        let Some(processes) = &self.processes else {
            let mut renderer = Renderer::default();
            return match &task {
                Task::LadderOfPreview(ladder) => renderer.ladder_of_preview(photo, ladder, &self.limits, each),
                _ => renderer.ladder(photo, ladder, &self.limits, each),
            };
        };
        let is_preview = matches!(task, Task::LadderOfPreview(_));
        let mut left = Left::of(ladder, is_preview);
        // One alone has its second try as any other job.
        let count = left.count();
        if count > 1 {
            let climbed = picture_alone(photo, &self.limits, |format, parts, blamed| {
                let taken = &mut |number, made: Result<_, _>| left.take(number, made.map_err(blamed)).map(&mut *each).is_some();
                processes.climb(self.whose, (format, parts), &self.limits, (&task, count), taken);
            });
            if let Err(error) = climbed {
                return left.tell_all(&error, each);
            }
        }
        drop(held);
        self.one_by_one(photo, ladder.shown, is_preview, left, each);
    }

    /// Makes what is left, each as if it were asked for alone. Once one takes too long, all that are left do: otherwise a slow photo held the
    /// thread for as often as it was asked for.
    fn one_by_one(&self, photo: &[u8], shown: (u32, u32), is_preview: bool, left: Left<'_>, each: &mut dyn FnMut(Made)) {
        let mut preview = left.preview;
        if left.is_preview_left {
            let made = self.preview_now(photo);
            each(Made::Preview(made.clone()));
            preview = Some(made);
        }
        let mut too_slow = preview.as_ref().and_then(|made| made.as_ref().err()).filter(|error| error.is_too_slow()).cloned();
        for rung in left.rungs {
            let recipe = rung.recipe.clone();
            let made = match (rung.from, &preview) {
                _ if let Some(error) = &too_slow => Err(error.clone()),
                _ if is_preview => self.render_preview_now(photo, shown, recipe),
                (MadeFrom::Preview, Some(Ok(Some(preview)))) => self.render_preview_now(&preview.bytes, shown, recipe),
                (MadeFrom::Preview, Some(Err(error))) => Err(error.clone()),
                _ => self.render_now(photo, recipe),
            };
            if too_slow.is_none() {
                too_slow = made.as_ref().err().filter(|error| error.is_too_slow()).cloned();
            }
            each(Made::Rung(rung.number, made));
        }
    }
}

/// What was not told yet of a ladder.
struct Left<'a> {
    rungs: Vec<&'a Rung>,
    is_preview_left: bool,
    /// What became of the preview.
    preview: Option<Result<Option<Rendered>, ImagingError>>,
}

impl<'a> Left<'a> {
    fn of(ladder: &'a Ladder, is_preview: bool) -> Self {
        Self { rungs: ladder.rungs.iter().collect(), is_preview_left: !is_preview && ladder.needs_preview(), preview: None }
    }

    fn count(&self) -> usize {
        self.rungs.len() + usize::from(self.is_preview_left)
    }

    /// What is told with this number, where it can be: it was asked for, and not told before.
    fn take(&mut self, number: Option<u32>, made: Result<Option<Rendered>, ImagingError>) -> Option<Made> {
        if made.as_ref().is_err_and(|error| !checked::is_error(error)) {
            return None;
        }
        let Some(number) = number else {
            let is_sound =
                made.as_ref().ok().and_then(Option::as_ref).is_none_or(|preview| checked::is_picture(preview, &preview_recipe()));
            if !is_sound || !self.is_preview_left {
                return None;
            }
            self.is_preview_left = false;
            self.preview = Some(made.clone());
            return Some(Made::Preview(made));
        };
        let (at, rung) = self.rungs.iter().enumerate().find(|(_, rung)| rung.number == number)?;
        let made = match made {
            Ok(Some(rendered)) if checked::is_picture(&rendered, &rung.recipe) => Ok(rendered),
            Ok(_) => return None,
            Err(error) => Err(error),
        };
        self.rungs.remove(at);
        Some(Made::Rung(number, made))
    }

    fn tell_all(self, error: &ImagingError, each: &mut dyn FnMut(Made)) {
        if self.is_preview_left {
            each(Made::Preview(Err(error.clone())));
        }
        self.rungs.iter().for_each(|rung| each(Made::Rung(rung.number, Err(error.clone()))));
    }
}

/// Takes what a process has made; `false` where that cannot be.
type Taken<'a> = &'a mut dyn FnMut(Option<u32>, Result<Option<Rendered>, ImagingError>) -> bool;

impl Processes {
    /// Has a process make several pictures, as far as it comes.
    fn climb(
        &self,
        whose: Option<TenantId>,
        (format, parts): (Format, &[&[u8]]),
        limits: &Limits,
        (task, count): (&Task, usize),
        taken: Taken<'_>,
    ) {
        let at_work = self.idle.begin(whose);
        // Where there is none to be had, each picture finds out for itself.
        let Ok(mut worker) = self.worker(&at_work) else { return };
        match worker.work_on_several(parts, limits, (task, count), self.time, taken) {
            Ok(()) => self.rest(at_work, worker),
            Err(error) => self.lost(&error, format, parts, task),
        }
    }
}
