/**
 * The same bytes as a C struct, with names and types: {@link struct} and the types of its fields.
 *
 * @module millrace/struct
 */

export { bool, f32, f64, i16, i32, i64, i8, u16, u32, u64, u8 } from './struct/scalar.js'
export { bytes, char } from './struct/text.js'
export { array } from './struct/array-view.js'
export type {
  ArrayFieldTypes,
  ArrayView,
  ArrayViewOf,
  FieldLayout,
  Fields,
  Memory,
  Struct,
  StructArray,
  StructFieldTypes,
  StructInput,
  StructOptions,
  StructValue,
  StructView,
  ValueOf,
  ViewOf,
} from './struct/definition.js'
export type { FieldType, FieldTypes, ValueFieldTypes } from './struct/field-type.js'
export { struct } from './struct/struct.js'
