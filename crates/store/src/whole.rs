//! Files as a whole, from servers that give no ranges.

use std::cell::Cell;

use crate::chunk::{self, Failed, Held};
use crate::error::StoreError;
use crate::outside::{Outside, Range, Request, Response};
use crate::transfer::Transfer;

impl<O: Outside> Transfer<'_, O> {
    /// Fetches a file as a whole, from a server that gives no ranges, and stores what is missing of it.
    pub async fn fetch_part(&self, part: usize) -> Result<(), Failed> {
        let mut patience = self.patience(part);
        let mut held = Held::default();
        let mut wrong = 0;
        while self.next_missing(part).is_some() {
            let before = self.needed();
            let heard = Cell::new(self.outside.now_ms());
            let read = self.read_part(part, &mut held, &mut wrong, &heard);
            let result = chunk::watched(self, &heard, read).await;
            if self.needed() < before {
                patience.fruitful();
            }
            match result {
                Ok(()) => {}
                Err(Failed::Transient {
                    reason,
                    retry_after_ms,
                }) => {
                    self.forget_partial();
                    patience.pause(self, &reason, retry_after_ms).await?;
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }

    async fn read_part(
        &self,
        part: usize,
        held: &mut Held,
        wrong: &mut u32,
        heard: &Cell<f64>,
    ) -> Result<(), Failed> {
        let mut response = self.get_whole(part, heard).await?;
        if let Some(found) = response.content_length
            && Some(&found) != self.target.parts.get(part)
        {
            return Err(self.another_size(part, found));
        }
        let known = self.validator();
        if known.is_some() && response.validator.is_some() && known != response.validator {
            return Err(Failed::Changed);
        }
        for index in self.target.chunks_of(part) {
            if self.next_missing(part).is_none() {
                break;
            }
            let Range { start, end } = self.target.range(index);
            let is_missing = self.noted(index).is_none();
            held.begin(end - start);
            if !held
                .fill(self, &mut response.body, heard, is_missing)
                .await?
            {
                return Err(Failed::transient("the connection ended early"));
            }
            if !is_missing {
                continue;
            }
            match chunk::check(self, index, held, wrong).await? {
                Some(digest) => self.store(index, digest, held).await?,
                None => {
                    return Err(Failed::transient("its bytes were wrong"));
                }
            }
        }
        Ok(())
    }

    pub async fn get_whole(
        &self,
        part: usize,
        heard: &Cell<f64>,
    ) -> Result<Response<O::Body>, Failed> {
        let request = Request {
            part,
            range: None,
            if_range: None,
        };
        let response = self.outside.get(&request).await?;
        heard.set(self.outside.now_ms());
        match response.status {
            200 => Ok(response),
            status => Err(chunk::refused(
                self.target.url(part),
                status,
                response.retry_after_ms,
            )),
        }
    }

    fn next_missing(&self, part: usize) -> Option<usize> {
        self.target
            .chunks_of(part)
            .find(|index| self.noted(*index).is_none())
    }

    fn another_size(&self, part: usize, found: u64) -> Failed {
        match &self.target.digests {
            None => Failed::Changed,
            Some(_) => Failed::Fatal(StoreError::WrongSize {
                url: self.target.url(part),
                expected: self.target.parts.get(part).copied().unwrap_or_default(),
                found,
            }),
        }
    }
}
