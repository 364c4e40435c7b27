// Numbers that go with a hot call in either direction: an array of JavaScript's whose memory both languages see. Costs a
// third of what arguments and results do. What JavaScript wrote there is to be judged: it may be anything.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>
#include <type_traits>

namespace millrace::addon {

template <typename Array>
class Facts {
 public:
  using Element = std::remove_pointer_t<decltype(std::declval<Array&>().Data())>;

  // As `facts` of the object.
  void give(Napi::Object object, std::size_t count) {
    auto array = Array::New(object.Env(), count);
    if (array.IsEmpty()) {  // a worker that is being terminated: nobody will look at them
      unseen_ = std::make_unique<Element[]>(count);
      elements_ = unseen_.get();
      return;
    }
    array_ = Napi::Persistent(array);
    elements_ = array.Data();
    object.Set("facts", array);
  }
  [[nodiscard]] Element& operator[](std::size_t at) const noexcept { return elements_[at]; }

 private:
  Napi::Reference<Array> array_;
  std::unique_ptr<Element[]> unseen_;
  Element* elements_ = nullptr;
};

}  // namespace millrace::addon
