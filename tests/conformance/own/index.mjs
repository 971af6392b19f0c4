// Tests of our own, in the form of the published suite: what its version lacks.
export const own = []
