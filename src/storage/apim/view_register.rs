//! Who founded the view register and holds it (W3): the one row that decides which of its logs there is.

use domain::view::{Founder, Others};
use sqlx::any::AnyRow;

use super::change_log::{signed, unsigned};
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Who founded it, as it was a moment ago.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read) -> Result<Founder, StoreError> {
    let query = sqlx::query(
        "SELECT id, generation, founder_id, founder_name, founder_life, before_id, is_scattered, others, \
         renewals, reach_ms, after_ms, hold_ms, is_given_up, said_ms, said_at_ms, is_anybodys \
         FROM view_register WHERE id = 1",
    );
    said(read.optional(query).await?)
}

/// The same; nobody else changes it before this write has ended.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn lock(write: &mut Write) -> Result<Founder, StoreError> {
    let query = sqlx::query(
        "UPDATE view_register SET id = id WHERE id = 1 \
         RETURNING id, generation, founder_id, founder_name, founder_life, before_id, is_scattered, others, \
         renewals, reach_ms, after_ms, hold_ms, is_given_up, said_ms, said_at_ms, is_anybodys",
    );
    said(write.optional(query).await?)
}

/// Writes down what has become of it since [`lock`].
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, founder: &Founder) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE view_register SET generation = $1, founder_id = $2, founder_name = $3, founder_life = $4, \
         before_id = $5, is_scattered = $6, others = $7, renewals = $8, reach_ms = $9, after_ms = $10, \
         hold_ms = $11, is_given_up = $12, said_ms = $13, said_at_ms = $14, is_anybodys = $15 WHERE id = 1",
    )
    .bind(signed(founder.generation))
    .bind(founder.node.clone())
    .bind(founder.name.clone())
    .bind(signed(founder.life))
    .bind(founder.before.clone())
    .bind(i64::from(founder.is_scattered))
    .bind(match founder.others {
        Others::None => 0_i64,
        Others::Own => 1,
        Others::Vote => 2,
    })
    .bind(signed(founder.renewals))
    .bind(founder.reach_ms)
    .bind(founder.after_ms)
    .bind(founder.hold_ms)
    .bind(i64::from(founder.is_given_up))
    .bind(founder.said_ms)
    .bind(founder.said_at_ms)
    .bind(i64::from(founder.is_anybodys));
    write.execute(query, "view register").await.map(drop)
}

fn said(row: Option<AnyRow>) -> Result<Founder, StoreError> {
    let row = row.ok_or_else(|| StoreError::NotFound("view register".to_owned()))?;
    Ok(Founder {
        generation: unsigned(row.integer("generation")?)?,
        node: row.text("founder_id")?,
        name: row.text("founder_name")?,
        life: unsigned(row.integer("founder_life")?)?,
        before: row.text("before_id")?,
        is_scattered: row.flag("is_scattered")?,
        others: match row.integer("others")? {
            0 => Others::None,
            1 => Others::Own,
            // Of a later version: nothing is founded anew where this one does not know who takes part.
            _ => Others::Vote,
        },
        renewals: unsigned(row.integer("renewals")?)?,
        reach_ms: row.integer("reach_ms")?,
        after_ms: row.integer("after_ms")?,
        hold_ms: row.integer("hold_ms")?,
        is_given_up: row.flag("is_given_up")?,
        is_anybodys: row.flag("is_anybodys")?,
        said_ms: row.integer("said_ms")?,
        said_at_ms: row.integer("said_at_ms")?,
    })
}
