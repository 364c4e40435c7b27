export const darwinCases = []
