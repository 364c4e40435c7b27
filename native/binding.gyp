# The addon. Paths are relative to this file. The published package has it here and none at its top: there, package
# managers would take it for an order to compile.
{
  'targets': [
    {
      'target_name': 'millrace',
      'sources': ['addon.cpp'],
      # Not its gyp target: what gyp generates for that lands outside of build/.
      'include_dirs': ['include', '<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': [
        'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
        # Pinned: unset, the version of the building Node would be taken, and a binary that asks for
        # a newer Node-API than the running Node has crashes while it loads.
        'NAPI_VERSION=8',
        # A throw while the environment shuts down is dropped instead of aborting the process.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
      # Node's common.gypi chooses its own language standard and optimisation level.
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
      'cflags_cc': [
        '-std=c++20',
        '-O3',
        '-Wall',
        '-Wextra',
        '-Werror',
        # GCC 12 sees overlapping copies in every "text" + std::string (its bug 105651).
        '-Wno-restrict',
        '-fvisibility=hidden',
        '-fvisibility-inlines-hidden',
        '-fno-exceptions',
        '-fno-rtti',
      ],
      'conditions': [
        ['OS=="linux"', {
          'cflags_cc': ['-pthread'],
          # nodelete: a thread of the addon may outlive the worker that loaded it.
          'ldflags': ['-pthread', '-Wl,-z,nodelete'],
          # Part of libc since glibc 2.34 and in musl; older glibc, which prebuilds target, needs them.
          'libraries': ['-ldl', '-lrt'],
        }],
      ],
      # Evaluated after the settings of Node's common.gypi, whose deployment target is too old for C++20.
      'target_conditions': [
        ['OS=="mac"', {
          'xcode_settings': {
            'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
            'CLANG_CXX_LIBRARY': 'libc++',
            'GCC_ENABLE_CPP_EXCEPTIONS': 'NO',
            'GCC_ENABLE_CPP_RTTI': 'NO',
            'GCC_OPTIMIZATION_LEVEL': '3',
            'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
            'GCC_TREAT_WARNINGS_AS_ERRORS': 'YES',
            'GCC_INLINES_ARE_PRIVATE_EXTERN': 'YES',
            'MACOSX_DEPLOYMENT_TARGET': '11.0',
            'WARNING_CFLAGS': ['-Wall', '-Wextra'],
          },
        }],
      ],
    },
  ],
}
