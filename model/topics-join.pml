/*
 * Who joins a bus while others make subjects: is every subject that it asked for marked as its own?
 *
 * Mirrors
 *   native/include/millrace/topics/   subject(), subscribe(), unsubscribe(), the undertaker of either
 *
 * A row of bits for each subject says which entries want it. Who makes a subject holds the lock of the table: it counts the
 * subject first, reads the filters of all entries then, and lets others publish on it last. Who joins writes its filters,
 * says so, sets its bit in the rows of the subjects that are counted, and looks at their number again until there is no new
 * one. Either the maker sees the entry or the joiner the subject. Both set bits by atomic steps; who sets one for another
 * looks whether the entry is still the same, and so does who leaves once more, under the lock.
 *
 * Memory is sequentially consistent: the state of an entry and the number of subjects are written and read so.
 *
 * Properties: when subscribe() has returned, all subjects that are or come to be published on have the bit of the entry if they
 * match (missing); an entry has no bit of a subject that it does not match (stale), not even in its second life; nobody waits
 * for the dead (invalid end state).
 *
 * Bounds: MAKERS make SUBJECTS subjects between them; one entry joins, leaves and joins again with other filters (LIVES);
 * DEATHS are killed at any step.
 */
