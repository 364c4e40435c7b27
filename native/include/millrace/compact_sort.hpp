// Sorting where speed does not matter: std::sort costs some 3 KB of code for each type, this a sixth of it.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

namespace millrace {

// Ascending, not stable, O(n log n).
template <typename T, typename Less = std::less<>>
void compact_sort(std::vector<T>& list, Less less = {}) {
  std::make_heap(list.begin(), list.end(), less);
  std::sort_heap(list.begin(), list.end(), less);
}

}  // namespace millrace
