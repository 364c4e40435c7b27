// The frames of the demo: full HD, four bytes a pixel.

export const frameWidth = 1920
export const frameHeight = 1080
export const frameBytes = frameWidth * frameHeight * 4
