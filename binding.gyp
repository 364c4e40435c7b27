# For node-gyp in the repository; the target is defined where the published package has it.
{
  'includes': ['native/binding.gyp'],
}
