export const electronCases = []
