// Numbers that go with a hot call in either direction: an array of JavaScript's whose memory both languages see. Costs a
// third of what arguments and results do. What JavaScript wrote there is to be judged: it may be anything.
#pragma once

#include <napi.h>

#include <cstddef>
#include <type_traits>

namespace millrace::addon {

template <typename Array>
class Facts {
 public:
  using Element = std::remove_pointer_t<decltype(std::declval<Array&>().Data())>;

  // As `facts` of the object.
  void give(Napi::Object object, std::size_t count) {
    auto array = Array::New(object.Env(), count);
    array_ = Napi::Persistent(array);
    elements_ = array.Data();
    object.Set("facts", array);
  }
  [[nodiscard]] Element& operator[](std::size_t at) const noexcept { return elements_[at]; }

 private:
  Napi::Reference<Array> array_;
  Element* elements_ = nullptr;
};

}  // namespace millrace::addon
