// Tests of our own, in the form of the published suite: what its version lacks, and what RFC 9111 says since.
import age from './age.mjs'
import interim from './interim.mjs'
import stale from './stale.mjs'
import stored from './stored.mjs'
import targeted from './targeted.mjs'
import update from './update.mjs'

export const own = [age, interim, stale, stored, targeted, update]
