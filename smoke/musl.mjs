export const muslCases = []
