// CRC-32, for who judges what has come from elsewhere.

export { crc32 } from './file/records.js'
